import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { ProjectExporter } from '../phoenix/exporting.js';
import type { SpanBudget } from './budget.js';
import type { Destination } from './destination.js';
import { prepareSpan, resourceOf } from './prepare.js';
import type { Turns } from './turns.js';

export interface QueueTimes {
  /** How long a span waits for more of its batch. */
  readonly batchMs: number;
  /** Between two looks for what was accepted. */
  readonly confirmMs: number;
  /** When what is still not there is taken for lost, though Phoenix was never seen away: longer than its full queue takes. */
  readonly lostMs: number;
  /** First pause when Phoenix does not answer; doubled up to {@link MAX_PAUSE_MS}. */
  readonly pauseMs: number;
}

/** What the queues of a process share. */
export interface QueueLink {
  readonly budget: SpanBudget;
  readonly times: QueueTimes;
  /** Of requests: all tenants' at once would time out, be sent again, and keep Phoenix from storing any. */
  readonly turns: Turns;
  /** When Phoenix last failed to answer, in milliseconds of `performance.now()`. */
  lastOutage: number;
  /** As `TelemetryOptions.destinationOf`. */
  destination(): Promise<Destination | null | undefined>;
  open(project: string): ProjectExporter;
  isStored(project: string, spanId: string): Promise<boolean>;
}

interface Batch {
  readonly spans: readonly ReadableSpan[];
  readonly resent: number;
}

interface Accepted extends Batch {
  readonly project: string;
  /** Of its last span, as Phoenix has it: it stores in the order of arrival. */
  readonly last: string;
  readonly at: number;
}

const MAX_BATCH = 512;
const MAX_PAUSE_MS = 15_000;
const MAX_RESENDS = 3;
/** How long a tenant may take from the call that creates it to its row. */
const YOUNG_MS = 60_000;

/**
 * The spans of one tenant on their way. Phoenix's "accepted" is no promise (it stores from memory a moment later), so a
 * batch is kept until its last span was read back, and sent again when it was lost; Phoenix ignores a span that it has.
 */
export class SpanQueue implements SpanProcessor {
  private waiting: ReadableSpan[] = [];
  /** In front of what waits: what Phoenix did not take, or lost. */
  private again: Batch[] = [];
  private accepted: Accepted[] = [];
  private exporter: { readonly project: string; readonly to: ProjectExporter } | undefined;
  private pause = 0;
  private timer: NodeJS.Timeout | undefined;
  private confirmTimer: NodeJS.Timeout | undefined;
  private working: Promise<void> | undefined;
  private closed = false;

  constructor(private readonly link: QueueLink) {}

  onStart(): void {
    // Only ended spans are sent.
  }

  onEnd(span: ReadableSpan): void {
    if (!this.link.budget.admit()) return;
    if (this.closed) {
      this.link.budget.release('failed', 1, false);
      return;
    }
    this.waiting.push(span);
    if (this.pause > 0) return;
    if (this.waiting.length >= MAX_BATCH) this.sendSoon(0);
    else this.sendSoon(this.link.times.batchMs);
  }

  /** Sends what waits now, whatever the pause. */
  async forceFlush(): Promise<void> {
    await this.working;
    this.pause = 0;
    await this.send();
  }

  /** Gives up what is not accepted yet. */
  async shutdown(): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    clearTimeout(this.confirmTimer);
    const left = this.waiting.length + this.again.reduce((sum, { spans }) => sum + spans.length, 0);
    [this.waiting, this.again] = [[], []];
    this.link.budget.release('failed', left, false);
    await this.exporter?.to.close();
  }

  /** Nothing of it is in memory any more. */
  get isEmpty(): boolean {
    return this.unsent === 0 && this.accepted.length === 0 && this.working === undefined;
  }

  private get unsent(): number {
    return this.waiting.length + this.again.length;
  }

  private sendSoon(delayMs: number): void {
    if (this.timer !== undefined && delayMs > 0) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.send();
    }, delayMs).unref();
  }

  /** One at a time; never throws. */
  private send(): Promise<void> {
    this.working ??= this.sendAll().finally(() => {
      this.working = undefined;
      if (this.unsent > 0 && !this.closed) this.sendSoon(Math.max(this.pause, this.link.times.batchMs));
    });
    return this.working;
  }

  private async sendAll(): Promise<void> {
    while (this.unsent > 0 && !this.closed) {
      const batch = this.again.shift() ?? { spans: this.waiting.splice(0, MAX_BATCH), resent: 0 };
      if (!(await this.sendBatch(batch))) return;
    }
  }

  /** @returns whether to go on with the next */
  private async sendBatch(batch: Batch): Promise<boolean> {
    const { budget, times } = this.link;
    try {
      const destination = await this.link.destination();
      if (destination === null && isYoung(batch.spans[0]!)) return this.keep(batch);
      const to = destination ? this.exporterOf(destination.project) : undefined;
      const own = destination && to ? this.prepared(batch.spans, destination, to.project) : [];
      budget.release('withheld', batch.spans.length - own.length, false);
      if (own.length === 0 || !to) return this.goOn();
      const kept = own.map(({ given }) => given);
      const spans = own.map(({ span }) => span);
      const sent = await this.link.turns.take(async () => !this.closed && to.to.send(spans));
      if (sent === false) return this.keep({ spans: kept, resent: batch.resent });
      if (sent === 'refused') budget.release('failed', own.length, false);
      if (sent === 'unreachable') {
        this.link.lastOutage = performance.now();
        return this.keep({ spans: kept, resent: batch.resent });
      }
      if (sent === 'accepted') {
        const last = own.at(-1)!.span.spanContext().spanId;
        this.accepted.push({ ...batch, spans: kept, project: to.project, last, at: performance.now() });
        budget.accept(own.length);
        this.confirmSoon(times.confirmMs);
      }
      return this.goOn();
    } catch {
      // The registry does not answer: whether they may be sent is not known.
      return this.keep(batch);
    }
  }

  private goOn(): true {
    this.pause = 0;
    return true;
  }

  /** Held until Phoenix or the registry is back, or the tenant there. */
  private keep(batch: Batch): false {
    if (this.closed) this.link.budget.release('failed', batch.spans.length, false);
    else this.again.unshift(batch);
    this.pause = Math.min(MAX_PAUSE_MS, Math.max(this.link.times.pauseMs, this.pause * 2));
    return false;
  }

  private prepared(spans: readonly ReadableSpan[], destination: Destination, project: string) {
    const resource = resourceOf(project);
    return spans.flatMap((given) => {
      const span = prepareSpan(given, destination, resource);
      return span ? [{ given, span }] : [];
    });
  }

  private exporterOf(project: string) {
    if (this.exporter?.project !== project) {
      void this.exporter?.to.close();
      this.exporter = { project, to: this.link.open(project) };
    }
    return this.exporter;
  }

  private confirmSoon(delayMs: number): void {
    if (this.closed) return;
    this.confirmTimer ??= setTimeout(() => {
      this.confirmTimer = undefined;
      void this.confirm()
        .catch(() => {
          this.link.lastOutage = performance.now();
        })
        .finally(() => {
          if (this.accepted.length > 0) this.confirmSoon(delayMs);
        });
    }, delayMs).unref();
  }

  private async confirm(): Promise<void> {
    const { budget, times } = this.link;
    // A purged project must not come back by what is sent again.
    if (!(await this.link.destination())) {
      for (const { spans } of this.accepted.splice(0)) budget.release('withheld', spans.length, true);
      return;
    }
    const batches = [...this.accepted];
    const newest = batches.at(-1);
    // One look, as a rule.
    const known = newest !== undefined && (await this.isThere(newest));
    for (const batch of batches) {
      const stored = known && !this.mayBeLost(batch, times.lostMs) ? true : await this.isThere(batch);
      if (!stored && !this.mayBeLost(batch, times.lostMs)) return;
      this.accepted.splice(this.accepted.indexOf(batch), 1);
      if (stored) budget.release('stored', batch.spans.length, true);
      else if (batch.resent >= MAX_RESENDS) budget.release('failed', batch.spans.length, true);
      else {
        budget.resend(batch.spans.length);
        this.again.push({ spans: batch.spans, resent: batch.resent + 1 });
        this.sendSoon(0);
      }
    }
  }

  private isThere({ project, last }: Accepted): Promise<boolean> {
    return this.link.turns.take(() => this.link.isStored(project, last));
  }

  private mayBeLost({ at }: Accepted, lostMs: number): boolean {
    return at <= this.link.lastOutage || performance.now() - at > lostMs;
  }
}

function isYoung({ endTime: [seconds] }: ReadableSpan): boolean {
  return Date.now() - seconds * 1000 < YOUNG_MS;
}
