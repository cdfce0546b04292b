import { createHmac } from 'node:crypto';

/** A notice as it is posted: JSON, nothing secret in it. */
export interface Notice {
  readonly event: 'purge-notice';
  readonly tenant: string;
  readonly incarnation: string;
  readonly days: number;
  /** ISO 8601. */
  readonly purgeAt: string;
}

const TIMEOUT_MS = 10_000;

/**
 * Posts notices to an operator's endpoint. A notice may come twice (Temporal tries the step again when an answer is
 * lost): `idempotency-key` is the same for both.
 */
export class NoticeWebhook {
  /**
   * @param url went through the guard of URLs
   * @param secret signs the body: `x-cvops-signature: sha256=<HMAC in hex>`
   */
  constructor(
    private readonly url: URL,
    private readonly secret?: string,
  ) {}

  /** @throws Error when it was not taken: the step is tried again, and the notice stays noted meanwhile */
  async send(notice: Notice): Promise<void> {
    const body = JSON.stringify(notice);
    const answer = await fetch(this.url, {
      method: 'POST',
      body,
      // A redirect could lead where the guard would not have let us go.
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        'content-type': 'application/json',
        'idempotency-key': `${notice.event}/${notice.incarnation}/${notice.purgeAt}/${notice.days}`,
        ...(this.secret === undefined
          ? {}
          : {
              'x-cvops-signature': `sha256=${createHmac('sha256', this.secret).update(body).digest('hex')}`,
            }),
      },
    });
    await answer.body?.cancel();
    if (!answer.ok) throw new Error(`the notice webhook answered ${answer.status}`);
  }
}
