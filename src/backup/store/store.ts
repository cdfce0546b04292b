import type { StorePath } from '../../domain/backups.js';

export interface StoredObject {
  readonly path: StorePath;
  /** Bytes. */
  readonly size: number;
  readonly modifiedAt: Date;
}

/** What a store says it holds after a put. */
export interface PutObject {
  /** Bytes. */
  readonly size: number;
  /** Of the bytes, in lower-case hex; confirmed by the store, not only computed on the way there. */
  readonly sha256: string;
}

export interface StoreCall {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Where backups lie: whole objects by path, nothing else. Every call may be made again after a failure or a kill at any
 * line and ends the same. Failures that may pass (no room, too many requests, no answer) are `StoreUnavailable`; every
 * other one is an OpsError.
 */
export interface BackupStore {
  /** `file:///var/backups` or `s3://bucket/prefix`; never holds a secret. */
  readonly location: string;

  /**
   * Writes an object, replacing one of its name. Nobody sees half of it: until this resolves there is the former one, or
   * none. Memory holds a few MiB of it, whatever its size.
   *
   * @throws StoreUnavailable, or the body's own error; nothing is left of a failed one but what `sweep` removes
   */
  put(path: StorePath, body: AsyncIterable<Uint8Array> | Uint8Array, call?: StoreCall): Promise<PutObject>;

  /**
   * The bytes of an object, in pieces, as they are read. A connection that is cut is taken up where it was; an object
   * that is replaced meanwhile is an error, never a mixture.
   *
   * @throws OpsError `NotFound`; StoreUnavailable
   */
  get(path: StorePath, call?: StoreCall): AsyncIterable<Uint8Array>;

  /** @returns undefined when there is no such object */
  head(path: StorePath, call?: StoreCall): Promise<StoredObject | undefined>;

  /** Every object in a folder and those below it, by path in ascending order of bytes; all of the store when left out. */
  list(folder?: StorePath, call?: StoreCall): AsyncIterable<StoredObject>;

  /** Removing what is not there is success. */
  remove(path: StorePath, call?: StoreCall): Promise<void>;

  /** Removes what killed or failed puts left in a folder, except those that began within the last `olderThanMs`. */
  sweep(folder: StorePath, olderThanMs: number, call?: StoreCall): Promise<void>;

  close(): Promise<void>;
}

/** May pass: the same call is worth another try later. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';

  constructor(
    message: string,
    /** A disk or bucket without room wants a person, and longer waits. */
    readonly how: 'full' | 'throttled' | 'silent',
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
