import { createHmac } from 'node:crypto';
import { EndpointError, sendGuarded } from '../guardedJson.js';

/** What is posted: JSON with the name of what happened, nothing secret in it. */
export interface Posted {
  readonly event: string;
}

/** A purge comes near. */
export interface PurgeNotice extends Posted {
  readonly event: 'purge-notice';
  readonly tenant: string;
  readonly incarnation: string;
  readonly days: number;
  /** ISO 8601. */
  readonly purgeAt: string;
}

/** Something is wrong, has become worse, or is over. */
export interface AlertNotice extends Posted {
  readonly event: 'alert-opened' | 'alert-raised' | 'alert-resolved';
  /** The same in every notice of one alert. */
  readonly alert: string;
  readonly severity: string;
  /** Null: the installation. */
  readonly tenant: string | null;
  readonly incarnation: string | null;
  readonly check: string;
  readonly message: string;
  readonly fix: string | null;
  /** ISO 8601. */
  readonly openedAt: string;
  readonly resolvedAt: string | null;
}

export interface WebhookOptions {
  readonly url: URL;
  /** Signs the body: `x-cvops-signature: sha256=<HMAC in hex>`. */
  readonly secret?: string;
  /** As the URL guard's. */
  readonly allowedPrivate: readonly string[];
}

const TIMEOUT_MS = 10_000;
/** What an endpoint says of itself is not read; it may say so much. */
const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * Posts notices to an operator's endpoint, through the guard of URLs and of the addresses that its name leads to. A notice
 * may come twice (the step is tried again when an answer is lost): `idempotency-key` is the same for both.
 */
export class NoticeWebhook {
  constructor(private readonly options: WebhookOptions) {}

  /**
   * @param key the notice's own
   * @throws Error when it was not taken: the notice stays noted, and is tried again
   */
  async send(key: string, notice: Posted): Promise<void> {
    const { url, secret, allowedPrivate } = this.options;
    const text = JSON.stringify(notice);
    const { status } = await sendGuarded({
      ...{ url: url.href, text, allowedPrivate, timeoutMs: TIMEOUT_MS, maxAnswerBytes: MAX_ANSWER_BYTES },
      headers: {
        'idempotency-key': key,
        ...(secret === undefined
          ? {}
          : { 'x-cvops-signature': `sha256=${createHmac('sha256', secret).update(text).digest('hex')}` }),
      },
    });
    // Also a redirect, which could lead where the guard would not have let us go.
    if (status < 200 || status > 299) throw new EndpointError(`the webhook answered ${status}`, true);
  }
}

/** One key for a date and distance, whoever sends it. */
export function purgeNoticeKey({ event, incarnation, purgeAt, days }: PurgeNotice): string {
  return `${event}/${incarnation}/${purgeAt}/${days}`;
}
