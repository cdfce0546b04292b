import { Buckets } from './buckets.js';
import { DocumentLog, PUT, type Position, REMOVE } from './log.js';

/** Writes kept by version for indexes that follow; older ones must read all again. */
const KEPT_CHANGES = 100_000;
const COMPACT_FROM = 64 << 20;
/** Removes forgotten at one write, so that none takes long. */
const PRUNED_AT_ONCE = 100;

export interface DiskStoreOptions {
  /** Wait for the disk at each write. */
  readonly fsync: boolean;
  /** How long removes are remembered, in seconds. */
  readonly pruneRemovesAfter: number;
}

/** Vespa's default of `removed-db/prune/age`: two weeks. */
export const PRUNE_REMOVES_AFTER = 14 * 24 * 3600;

/** A document, or that it was removed, and where its last record lies. */
export interface Entry extends Position {
  readonly id: string;
  readonly removed: boolean;
}

/** Written over in place: a visit reads what is there when it comes to it. */
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The documents of one schema: a log on disk, an index of positions in memory. */
export class SchemaDocuments {
  readonly log: DocumentLog;
  readonly buckets = new Buckets<Entry>();
  version = 0;
  private readonly entries = new Map<string, Mutable<Entry>>();
  /** The oldest first. */
  private readonly removes = new Set<Entry>();
  private readonly changes: string[] = [];
  /** Of the last record of each id, removes included. */
  private neededBytes = 0;

  constructor(
    file: string,
    private readonly options: DiskStoreOptions,
  ) {
    this.log = new DocumentLog(file, options.fsync, (operation, id, at) => this.apply(operation, id, at));
    this.changes.length = 0;
    this.pruneRemoves(Infinity);
  }

  /** Of live documents. */
  get count(): number {
    return this.entries.size - this.removes.size;
  }

  /** A live document. */
  find(id: string): Entry | undefined {
    const entry = this.entries.get(id);
    return entry?.removed === false ? entry : undefined;
  }

  *live(): Generator<Entry> {
    for (const entry of this.entries.values()) if (!entry.removed) yield entry;
  }

  write(operation: number, id: string, body: string, timestamp: number): void {
    this.apply(operation, id, this.log.append(operation, id, body, timestamp));
    this.pruneRemoves(PRUNED_AT_ONCE);
    if (this.log.size > COMPACT_FROM && this.neededBytes < this.log.size / 2) this.compact();
  }

  changesSince(version: number): readonly string[] | undefined {
    const count = this.version - version;
    return count > this.changes.length
      ? undefined
      : [...new Set(this.changes.slice(this.changes.length - count))];
  }

  /** Removes before it are forgotten, or are about to be; microseconds. */
  get removesFrom(): number {
    return (Date.now() - this.options.pruneRemovesAfter * 1000) * 1000;
  }

  /** Their records go with the next compaction. */
  private pruneRemoves(most: number): void {
    const before = this.removesFrom;
    let pruned = 0;
    for (const entry of this.removes) {
      if (entry.timestamp >= before || pruned++ >= most) return;
      this.removes.delete(entry);
      this.entries.delete(entry.id);
      this.buckets.remove(entry);
      this.neededBytes -= recordSize(entry);
    }
  }

  private apply(operation: number, id: string, at: Position): void {
    let entry = this.entries.get(id);
    const removed = operation === REMOVE;
    if (entry === undefined) {
      entry = { id, ...at, removed };
      this.entries.set(id, entry);
      this.buckets.add(entry);
    } else {
      this.neededBytes -= recordSize(entry);
      Object.assign(entry, at, { removed });
      this.removes.delete(entry);
    }
    this.neededBytes += recordSize(entry);
    if (removed) this.removes.add(entry);
    this.version++;
    this.changes.push(id);
    if (this.changes.length > 2 * KEPT_CHANGES) this.changes.splice(0, KEPT_CHANGES);
  }

  private compact(): void {
    const live = [...this.live()].map((at) => ({ operation: PUT, id: at.id, at }));
    const removes = [...this.removes].map((at) => ({ operation: REMOVE, id: at.id, at }));
    this.log.compact([...live, ...removes], (id, at) => Object.assign(this.entries.get(id)!, at));
  }
}

/** About what a record takes in the log; ids are nearly always ASCII. */
function recordSize({ id, length }: Entry): number {
  return length + id.length + 19;
}
