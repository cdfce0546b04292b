import { CANARY_SPAN } from '../domain/canaries.js';
import { OpsError } from '../domain/errors.js';
import { requireStatus } from '../phoenix/client.js';
import { findProject } from '../phoenix/projects.js';
import { type StoredSpan, readSpans } from '../phoenix/storedSpans.js';
import { putConfigCanary, removeConfigCanaries } from '../registry/isolation.js';
import { getLife } from '../registry/tenants.js';
import { TOKEN_ATTRIBUTE, canaryAt, canaryBody, canarySpan } from './canaries.js';
import type { Member } from './member.js';
import { type IsolationStores, waysOf } from './ways.js';

/**
 * Plants a tenant's canaries, one in each of its stores; again is fine. The span is there when Phoenix has been drained.
 * Whoever calls it holds the tenant open (`src/limits/memoryWriter.ts`): nothing may be written into a purged one.
 */
export async function plantCanaries(
  stores: IsolationStores,
  member: Member,
  signal: AbortSignal,
): Promise<void> {
  const { pool, documents, phoenix } = stores;
  const ways = waysOf(stores);
  for (const { schemaName, baseSchema } of await ways.schemasOf(member))
    await documents.put(canaryAt(schemaName, member), canaryBody(baseSchema, schemaName, member), signal);
  await putConfigCanary(pool, member.incarnation, member.token);
  const project = await ways.projectOf(member);
  // A span would make a project that is not there; that it is not is seen by who looks for the canary.
  if (project === undefined || (await findProject(phoenix, project)) === undefined) return;
  await removeSpans(stores, project, ({ attributes }) => attributes[TOKEN_ATTRIBUTE] !== member.token);
  await sendSpan(stores, project, canarySpan(member));
}

/** Sends one span; one that Phoenix has already is fine. */
export async function sendSpan(
  { phoenix }: Pick<IsolationStores, 'phoenix'>,
  project: string,
  span: ReturnType<typeof canarySpan>,
): Promise<void> {
  const answer = await phoenix.send('POST', `/v1/projects/${project}/spans`, { data: [span] });
  const known = answer.status === 400 && answer.body.includes('"total_duplicates":1');
  if (!known) requireStatus(answer, 202);
}

/**
 * Takes a tenant's canaries away, of whatever run, and reads back that they are gone. Phoenix has been drained before. A
 * tenant that is being purged, or is, loses them with everything else.
 *
 * @throws OpsError `VerificationFailed` when one is left
 */
export async function removeCanaries(
  stores: IsolationStores,
  member: Pick<Member, 'tenant' | 'incarnation'>,
  signal: AbortSignal,
): Promise<void> {
  if (!(await isThere(stores, member))) return;
  try {
    await remove(stores, member, signal);
  } catch (error) {
    // A purge that began meanwhile has taken a schema out of Vespa.
    if (await isThere(stores, member)) throw error;
  }
}

async function isThere(
  { pool }: IsolationStores,
  member: Pick<Member, 'tenant' | 'incarnation'>,
): Promise<boolean> {
  const { state } = await getLife(pool, member);
  return state === 'active' || state === 'inactive';
}

async function remove(
  stores: IsolationStores,
  member: Pick<Member, 'tenant' | 'incarnation'>,
  signal: AbortSignal,
): Promise<void> {
  const { pool, documents } = stores;
  const ways = waysOf(stores);
  for (const { schemaName } of await ways.schemasOf({ ...member, token: '' })) {
    const at = canaryAt(schemaName, member);
    await documents.remove(at, signal);
    if ((await documents.get(at, { fieldSet: `${schemaName}:tenant_id`, signal })) !== undefined)
      throw new OpsError('VerificationFailed', `the canary in schema ${schemaName} is still there`);
  }
  await removeConfigCanaries(pool, member.incarnation);
  // Also where no span may be sent any more.
  const { phoenixProject } = await getLife(pool, member);
  await removeSpans(stores, phoenixProject, () => true);
}

/** Phoenix deletes by the trace; a canary's holds nothing else. */
async function removeSpans(
  { phoenix }: IsolationStores,
  project: string,
  which: (span: StoredSpan) => boolean,
): Promise<void> {
  for await (const span of readSpans(phoenix, project, { name: CANARY_SPAN }))
    if (which(span))
      requireStatus(await phoenix.send('DELETE', `/v1/traces/${span.context.trace_id}`), 204, 404);
}
