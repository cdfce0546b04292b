import { type FeedOperation, bytesOf } from './operation.js';

/** An operation that was pulled and has not ended. */
export interface Pending {
  readonly operation: FeedOperation;
  readonly lane: string;
  /** The next one for the same document: it waits for this one's end. */
  next: Pending | undefined;
  tries: number;
  /** Tries that failed while the server did others: the document's own. */
  ownFailures: number;
  /** The run's acknowledged operations when it was last sent. */
  acknowledgedBefore: number;
}

/**
 * What was pulled and has not ended, in lanes: operations for one document go one after the other, in the source's
 * order, retries included.
 */
export class Backlog {
  private readonly open = new Set<Pending>();
  private readonly lastOfLane = new Map<string, Pending>();
  private readonly ready: Pending[] = [];
  private heldBytes = 0;

  get size(): number {
    return this.open.size;
  }

  get bytes(): number {
    return this.heldBytes;
  }

  /** Everything that has not ended, in the source's order. */
  get operations(): FeedOperation[] {
    return Array.from(this.open, ({ operation }) => operation);
  }

  get hasReady(): boolean {
    return this.ready.length > 0;
  }

  add(operation: FeedOperation): void {
    const { namespace, schema, id } = operation.at;
    const pending: Pending = {
      operation,
      lane: `${namespace}/${schema}/${id}`,
      next: undefined,
      tries: 0,
      ownFailures: 0,
      acknowledgedBefore: 0,
    };
    this.open.add(pending);
    this.heldBytes += bytesOf(operation);
    const before = this.lastOfLane.get(pending.lane);
    this.lastOfLane.set(pending.lane, pending);
    if (before === undefined) this.ready.push(pending);
    else before.next = pending;
  }

  take(): Pending {
    return this.ready.shift()!;
  }

  /** To be sent before what was never sent: the oldest waits longest. */
  putBack(pending: Pending): void {
    this.ready.unshift(pending);
  }

  end(pending: Pending): void {
    this.open.delete(pending);
    this.heldBytes -= bytesOf(pending.operation);
    if (pending.next !== undefined) this.ready.unshift(pending.next);
    else if (this.lastOfLane.get(pending.lane) === pending) this.lastOfLane.delete(pending.lane);
  }
}
