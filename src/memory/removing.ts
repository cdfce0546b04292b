import { OpsError } from '../domain/errors.js';
import { MEMORY_NAMESPACE } from '../domain/naming.js';
import type { DocumentClient } from '../vespa/documents.js';
import { feedAll } from '../vespa/feeding/feeder.js';
import { visit } from '../vespa/visit.js';
import { addressOf } from './documents.js';
import { MAX_HITS, checkKind } from './input.js';
import { type Condition, conditionOf, countRows, find } from './query.js';
import { fieldsOf } from './readAll.js';
import type { AgeCutoffs, LongRemoval, Removed, TenantLife } from './tenantMemory.js';

export interface RemovingFrom {
  readonly documents: DocumentClient;
  readonly life: TenantLife;
}

/** So many are gone at least before the next place to go on from. */
const STEP = 1_000;

/**
 * Removes every memory of a tenant, in the order of a visit, and reads back by visiting that none is left.
 *
 * @throws OpsError `VerificationFailed`
 */
export async function clearAll(
  { documents, life }: RemovingFrom,
  cluster: string,
  call: LongRemoval,
): Promise<Removed> {
  const { signal, resume, onProgress } = call;
  const found = await countFirst({ documents, life }, conditionOf(life, {}), call);
  let removed = resume?.removed ?? 0;
  let { token } = resume ?? {};
  const tell = () => onProgress?.({ found, removed, ...(token === undefined ? {} : { token }) });
  tell();
  const events = visit(documents, {
    ...{ cluster, schema: life.schema, namespace: MEMORY_NAMESPACE, signal },
    continuation: token,
    fieldSet: `${life.schema}:id,tenant_id,incarnation`,
    checkpointDocuments: STEP,
  });
  for await (const event of events) {
    if (event.kind === 'lines') {
      const ids = event.lines.map((line) => String(fieldsOf(life, line)['id']));
      removed += await removeIds({ documents, life }, ids, signal);
    } else if (event.kind === 'checkpoint') token = event.token;
    tell();
  }
  const left = await documents.count(life.schema, cluster, signal);
  if (left > 0)
    throw new OpsError(
      'VerificationFailed',
      `${left} memories of ${life.tenant} are left, or came while they were cleared`,
      'clear again, when nothing adds any',
    );
  // None is left: all that were counted are gone, whoever removed them and however often this began anew.
  return { removed: Math.max(found, removed) };
}

/** Removes by age and kind, {@link MAX_HITS} a step, until none is found. @throws OpsError `VerificationFailed` */
export async function removeByAge(
  from: RemovingFrom,
  cutoffs: AgeCutoffs,
  call: LongRemoval & { readonly dryRun?: boolean },
): Promise<Removed> {
  const { documents, life } = from;
  const { signal, resume, onProgress, dryRun } = call;
  const where = tooOld(life, cutoffs);
  if (where === undefined) return { removed: 0 };
  if (dryRun) return { removed: await countRows({ documents, life, where, signal }) };
  const found = await countFirst(from, where, call);
  let removed = resume?.removed ?? 0;
  for (let before = new Set<string>(); ;) {
    const hits = await find({ documents, life, where, hits: MAX_HITS, profile: 'unranked', signal });
    const ids = hits.map(({ memory }) => memory.id);
    if (ids.length === 0) return { removed: Math.max(found, removed) };
    if (ids.every((id) => before.has(id)))
      throw new OpsError(
        'VerificationFailed',
        `Vespa still finds memories of ${life.tenant} that were removed`,
      );
    removed += await removeIds(from, ids, signal);
    onProgress?.({ found, removed });
    before = new Set(ids);
  }
}

/** @returns how many there were before the first try removed any */
async function countFirst(
  { documents, life }: RemovingFrom,
  where: Condition,
  { signal, resume, noteFound }: LongRemoval,
): Promise<number> {
  if (resume) return resume.found;
  const found = await countRows({ documents, life, where, signal });
  return noteFound ? noteFound(found) : found;
}

/** @returns how many were acknowledged: all */
async function removeIds(
  { documents, life }: RemovingFrom,
  ids: readonly string[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const removals = ids.map((id) => ({ at: addressOf(life, id), remove: true as const }));
  const source = (async function* () {
    yield* removals;
  })();
  const { acknowledged } = await feedAll(documents, source, { signal, stopOnFailure: true });
  return acknowledged;
}

/** @returns undefined when nothing is to go */
function tooOld(life: TenantLife, cutoffs: AgeCutoffs): Condition | undefined {
  const { otherwise, kinds = {}, expiredAt } = cutoffs;
  const names = Object.keys(kinds);
  names.forEach(checkKind);
  const named = names.map((_, at) => `kind contains @kind${at}`);
  const older = (time: number) => `updated_at < ${whole(time)}L`;
  const any = [
    ...names.map((name, at) => `(${named[at]} and ${older(kinds[name]!)})`),
    ...(otherwise === undefined
      ? []
      : [`(${[older(otherwise), ...named.map((kind) => `!(${kind})`)].join(' and ')})`]),
    ...(expiredAt === undefined ? [] : [`range(expires_at, 1L, ${whole(expiredAt)}L)`]),
  ];
  if (any.length === 0) return undefined;
  const { yql, parameters } = conditionOf(life, {}, [`(${any.join(' or ')})`]);
  return {
    yql,
    parameters: { ...parameters, ...Object.fromEntries(names.map((name, at) => [`kind${at}`, name])) },
  };
}

/** @throws OpsError `InvalidInput` */
function whole(time: number): number {
  if (Number.isSafeInteger(time) && time > 0) return time;
  throw new OpsError('InvalidInput', 'a cutoff is a time in milliseconds since the epoch');
}
