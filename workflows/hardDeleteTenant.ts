import { CancellationScope, log, sleep } from '@temporalio/workflow';
import type { HardDeleteInput, HardDeleteResult } from '../src/contracts/life.js';
import type { StoreCount } from '../src/domain/purge.js';
import { endingOf, operationFailure, thrownFor } from './failures.js';
import { noteState } from './operationState.js';
import { purgeStores, purging, titled } from './options.js';
import { Progress } from './progress.js';
import { SchemaChanges } from './schemaChanges.js';
import { SecondPerson, asStep } from './secondPerson.js';
import { versioned } from './versioning.js';

/** How often a store that is found not empty is emptied again before the operation gives up. */
const ROUNDS = 5;

/**
 * Deletes a tenant for good, from any state: everything of it is stopped, counted, taken away, counted again, counted
 * once more after a while, and the proof is signed. Nothing here can be undone, so nothing is compensated: a run that
 * fails leaves the tenant `purging`, and the next run goes on where this one stopped.
 */
export async function hardDeleteTenant(input: HardDeleteInput): Promise<HardDeleteResult> {
  const { tenant, incarnation, operation } = input;
  const key = { tenant, incarnation, operation };
  const schemas = new SchemaChanges(input.cluster);
  const steps = new Progress(`Delete tenant \`${tenant}\` for good`);
  const second = new SecondPerson();

  // Refused here, nothing was done and nothing is to be said of it.
  await begin(input, steps, second).catch((error: unknown) => {
    throw thrownFor(error);
  });
  const erase = {
    schemas: async (round: number): Promise<void> => {
      const { lives } = await titled(purging.schemasToPurge, 'whose rows there are', key);
      for (const [i, life] of lives.entries()) {
        if (life.bases.length === 0) continue;
        await schemas.change({
          id: `${operation}/remove/${i}/${round}`,
          tenant,
          incarnation: life.incarnation,
          add: [],
          remove: life.bases,
          removeNames: life.names,
        });
      }
      await titled(purging.noteSchemasErased, 'schemas are out of the package', key);
    },
    traces: () => titled(purgeStores.eraseTraces, 'drain, delete project and policies', key),
    schedules: () => titled(purgeStores.eraseSchedules, 'delete', key),
    ledger: () => titled(purging.eraseLedger, 'delete rows', key),
    configuration: () => titled(purging.eraseConfiguration, 'delete rows', key),
  };

  const look = async (which: 'first' | 'second', round: number): Promise<readonly StoreCount[]> =>
    (await titled(purgeStores.readBack, `${which} look, round ${round}`, { ...key, look: which })).residuals;

  /** Empties again what is not empty: Phoenix may bring a project back. */
  const eraseAgain = async (residuals: readonly StoreCount[], round: number): Promise<void> => {
    log.warn('emptying again', { tenant, round, residuals: residuals.map(shown) });
    const left = new Set(residuals.map(({ store }) => store));
    if (left.has('schemas') || left.has('documents') || left.has('memory')) await erase.schemas(round);
    if (left.has('traces')) await erase.traces();
    if (left.has('schedules')) await erase.schedules();
    if (left.has('ledger')) await erase.ledger();
    if (left.has('configuration')) await erase.configuration();
    await sleep(5_000 * round, { summary: 'let what is on its way arrive' });
  };

  /**
   * Two looks that find nothing, with the whole wait and no deletion between them. What the second finds has come after
   * the first, and may come once more: both are taken again.
   */
  const proveEmpty = async (): Promise<void> => {
    for (let round = 1; ; round++) {
      let residuals = await steps.step('read back', () => look('first', round));
      if (residuals.length === 0) {
        await steps.step(`wait ${input.secondLookSeconds} s`, () =>
          sleep(input.secondLookSeconds * 1000, { summary: 'before the second look' }),
        );
        residuals = await steps.step('read back again', () => look('second', round));
        if (residuals.length === 0) return;
      }
      if (round === ROUNDS) {
        throw operationFailure({
          code: 'VerificationFailed',
          message: `no certificate: not empty after ${ROUNDS} rounds: ${residuals.map(shown).join(', ')}`,
          hint: `find out who still writes there, then run it again: cvops tenant delete ${tenant} --hard`,
        });
      }
      await eraseAgain(residuals, round);
    }
  };

  try {
    await steps.step(
      'stop schedules and operations',
      () => titled(purgeStores.stopOperations, 'cancel, wait, terminate', key),
      ({ stopped, terminated }) => `${stopped} ended, ${terminated} of them by force`,
    );
    await steps.step('drain traces', () =>
      titled(purgeStores.drainTraces, 'until Phoenix has stored all', key),
    );
    await steps.step(
      'count what is there',
      () => titled(purgeStores.countStores, 'store by store', key),
      ({ things, total }) => `${total} items in ${things} places`,
    );
    await steps.step('documents, memory and schemas', () => erase.schemas(0));
    await steps.step('traces', erase.traces);
    await steps.step('schedules', erase.schedules);
    await steps.step('ledger', erase.ledger);
    await steps.step('configuration', erase.configuration);
    await proveEmpty();
    const result = await steps.step('certificate', () =>
      titled(purging.issueCertificate, 'sign and keep', input),
    );
    noteState('completed');
    return result;
  } catch (error) {
    const whenCancelled = 'cancelled; what is deleted is gone, and the tenant stays purging';
    const { state, failure, thrown } = endingOf(error, whenCancelled);
    await CancellationScope.nonCancellable(async () => {
      await titled(purging.failPurge, failure.message.slice(0, 150), { ...key, failure });
      noteState(state);
    });
    throw thrown;
  }
}
versioned('PINNED', hardDeleteTenant);

/** `→ purging`: the registry's row decides. A creation under way is stopped and cleans up after itself first. */
async function begin(input: HardDeleteInput, steps: Progress, second: SecondPerson): Promise<void> {
  const toPurging = (creationStopped: boolean) =>
    second.agreed(
      () => titled(purging.beginPurge, input.trigger, { ...input, now: Date.now(), creationStopped }),
      asStep(steps),
    );
  const first = await toPurging(false);
  if (first.state === 'purging') return;
  const { tenant, incarnation, operation } = input;
  await steps.step('stop its creation', () =>
    titled(purgeStores.stopCreation, 'cancel and wait', { tenant, incarnation, operation }),
  );
  await toPurging(true);
}

function shown({ store, name, count }: StoreCount): string {
  return `${store} ${name} (${count})`;
}
