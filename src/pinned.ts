/** A file or folder that stays the same one for as long as it is held. */
export interface Pinned extends AsyncDisposable {
  /** Leads to it, for this process and its children. */
  readonly file: string;
}

/** @throws the system's errors of opening it */
export type Pin = (path: string) => Promise<Pinned>;

/** Whatever has the name whenever it is used. */
export const unpinned: Pin = async (file) => ({ file, [Symbol.asyncDispose]: () => Promise.resolve() });
