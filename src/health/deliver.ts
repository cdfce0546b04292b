import type { AlertNotice, NoticeWebhook } from '../notices/webhook.js';
import { type AlertEvent, claimEvent, endEvent, failEvent, pendingEvents } from '../registry/alertEvents.js';
import type { Pool } from '../registry/database.js';

/** At most so many in one go, and no more after so many that were not taken: what is left is for the next. */
const MAX_EVENTS = 200;
const MAX_FAILURES = 5;

export interface DeliverOptions {
  readonly pool: Pool;
  /** Undefined: only the log is told. */
  readonly webhook: Pick<NoticeWebhook, 'send'> | undefined;
  /** The log: hears of every event, with each try. */
  readonly log: (event: AlertEvent, failure?: string) => void;
}

export interface Delivered {
  readonly told: number;
  /** Not taken yet. */
  readonly pending: number;
  readonly dueInSeconds: number;
}

/**
 * Tells what is due of alerts, each event at least once and of one alert in order. Where a worker is killed between the
 * telling and the noting, the event is told again, under the same key.
 */
export async function deliverAlerts({ pool, webhook, log }: DeliverOptions): Promise<Delivered> {
  let told = 0;
  let failures = 0;
  while (told < MAX_EVENTS && failures < MAX_FAILURES) {
    const event = await claimEvent(pool);
    if (event === undefined) break;
    try {
      const { id, alert, event: what, severity, tenant, incarnation, check, message, fix } = event;
      const { openedAt, resolvedAt } = event;
      await webhook?.send(id, {
        ...{ event: `alert-${what}`, alert, severity, tenant, incarnation, check, message, fix },
        ...{ openedAt, resolvedAt },
      } satisfies AlertNotice);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log(event, why);
      await failEvent(pool, event, why);
      failures++;
      continue;
    }
    log(event);
    await endEvent(pool, event.id, webhook === undefined ? 'dropped' : 'sent');
    told++;
  }
  return { told, ...(await pendingEvents(pool)) };
}
