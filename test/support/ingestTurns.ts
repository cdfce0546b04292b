import { ApplicationFailure } from '@temporalio/common';
import type { IngestActivities } from '../../activities/types.js';
import type { ItemEnd } from '../../src/contracts/ingest.js';
import { FEED_REFUSALS } from '../../src/domain/errors.js';

/** Turns that do each of their videos by an activity for one, once, and go on while `mayGoOn` says so. */
export function turnOf(
  one: IngestActivities['ingestVideo'],
  mayGoOn: () => boolean = () => true,
): IngestActivities['ingestTurn'] {
  const ledger = new Map<number, ItemEnd>();
  return async ({ items, ...of }) => {
    const done: ItemEnd[] = [];
    for (const [i, item] of items.entries()) {
      if (i > 0 && !mayGoOn()) return { done, left: items.slice(i) };
      try {
        const end = ledger.get(item) ?? { item, ...(await one({ ...of, item })) };
        ledger.set(item, end);
        done.push(end);
      } catch (error) {
        const how = howRefused(error);
        if (how === undefined) throw error;
        const why = (error as Error).message;
        return { done, left: items.slice(i + 1), refused: { item, how, why } };
      }
    }
    return { done, left: [] };
  };
}

function howRefused(error: unknown): 'blocked' | 'silent' | undefined {
  if (!(error instanceof ApplicationFailure)) return undefined;
  if (error.type === FEED_REFUSALS.blocked) return 'blocked';
  return error.type === FEED_REFUSALS.silent ? 'silent' : undefined;
}
