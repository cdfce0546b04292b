import { OpsError } from '../../../src/domain/errors.js';
import type { TenantId } from '../../../src/domain/ids.js';
import { tenantSchemaName } from '../../../src/domain/naming.js';
import { type BaseSchema, MEMORY_SCHEMA } from '../../../src/domain/profiles.js';
import { BASES, carryOut } from './deeds.js';
import { type Snapshot, snapshots } from './digest.js';
import { ForeignApplication } from './foreign.js';
import type { Lane } from './lane.js';
import { clash, tenantOf } from './names.js';
import { type DeedName, type Sequence, type Step, stepText } from './sequences.js';

/** Something of one tenant was changed by an operation on another, or a collision was let in. */
export class Leak extends Error {
  override readonly name = 'Leak';
}

/** What the steps came to, over all sequences. */
export interface Tally {
  sequences: number;
  steps: number;
  collisions: number;
  readonly done: Partial<Record<DeedName, number>>;
}

export const newTally = (): Tally => ({ sequences: 0, steps: 0, collisions: 0, done: {} });

/**
 * Runs one sequence in a fresh Vespa and looks at everything after every step.
 *
 * @throws Leak naming the step
 */
export async function checkSequence(lane: Lane, { cast, steps }: Sequence, tally: Tally): Promise<void> {
  const run = await lane.nextRun();
  const tenants = cast.map((role) => tenantOf(role, run));
  const foreign = new ForeignApplication(tenants);
  const { vespa } = foreign;
  lane.useVespa(vespa);
  let before: ReadonlyMap<TenantId, Snapshot> = new Map();
  for (const [i, step] of steps.entries()) {
    const tenant = tenantOf(step.tenant, run);
    const fail = (what: string): never => {
      throw new Leak(`step ${i + 1}, ${stepText(step)}: ${what}`);
    };
    const packageBefore = vespa.package;
    const taken = collisions(step, tenant, before);
    const refusal = await refusalOf(() => carryOut(lane, tenant, step.deed));
    const after = await snapshots(lane, vespa, tenants);

    for (const other of tenants)
      if (other !== tenant && before.get(other)?.digest !== after.get(other)?.digest)
        fail(`changed ${other}`);
    const damage = foreign.damage();
    if (damage !== undefined) fail(`changed somebody else's ${damage}`);
    if (refusal === undefined && taken.length > 0) fail(`was let in beside ${taken.join(', ')}`);
    if (refusal?.type === 'Conflict' && taken.length === 0) fail(`was refused: ${refusal.message}`);
    if (refusal !== undefined) {
      if (vespa.package !== packageBefore) fail('was refused and changed the package');
      checkRefused(step, refusal, before.get(tenant), after.get(tenant), fail);
    }
    if (step.deed.do === 'create' && refusal === undefined)
      for (const name of after.get(tenant)!.schemas)
        if (vespa.countDocuments(name) > 0) fail(`began with documents in ${name}`);

    before = after;
    tally.steps++;
    if (refusal === undefined) tally.done[step.deed.do] = (tally.done[step.deed.do] ?? 0) + 1;
    else if (refusal.type === 'Conflict') tally.collisions++;
  }
  tally.sequences++;
}

/** Schemas of other tenants beside which those that a step wants cannot be. */
function collisions(
  { deed }: Step,
  tenant: TenantId,
  before: ReadonlyMap<TenantId, Snapshot>,
): readonly string[] {
  if (deed.do !== 'create' && deed.do !== 'addSchema') return [];
  const bases: BaseSchema[] =
    deed.do === 'create' && deed.memory ? [BASES[deed.base], MEMORY_SCHEMA] : [BASES[deed.base]];
  const wanted = bases.map((base) => tenantSchemaName(base, tenant));
  return [...before]
    .filter(([other]) => other !== tenant)
    .flatMap(([, { schemas }]) => schemas)
    .filter((held) => wanted.some((name) => clash(name, held)));
}

/** A refused step leaves its tenant as it was; a creation that began leaves a failed life with nothing in it. */
function checkRefused(
  { deed }: Step,
  refusal: OpsError,
  before: Snapshot | undefined,
  after: Snapshot | undefined,
  fail: (what: string) => never,
): void {
  if (refusal.type !== 'Conflict' && refusal.type !== 'WrongState' && refusal.type !== 'NotFound')
    fail(`failed: ${refusal.type} ${refusal.message}`);
  if (deed.do !== 'create' || refusal.type !== 'Conflict') {
    if (before?.digest !== after?.digest) fail(`was refused and changed its tenant: ${refusal.message}`);
  } else if (after?.state !== 'creation_failed' || after.schemas.length > 0)
    fail(`was refused and left ${after?.state ?? 'nothing'} with ${after?.schemas.length ?? 0} schema(s)`);
}

async function refusalOf(work: () => Promise<void>): Promise<OpsError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof OpsError) return error;
    throw error;
  }
}
