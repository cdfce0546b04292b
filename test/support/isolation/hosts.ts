import { NoAnswer, type call as realCall } from '../../../src/vespa/http.js';

export interface Answer {
  readonly status: number;
  readonly json?: unknown;
  readonly bytes?: Buffer;
}

export type Host = (method: string, url: URL, body: Buffer) => Answer;

const hosts = new Map<string, Host>();

/** Answers every call to this origin from now on. */
export function serve(origin: string, host: Host): void {
  hosts.set(origin, host);
}

/** Stands in for the HTTP of the Vespa clients. */
export const call: typeof realCall = async (method, url, options = {}) => {
  options.signal?.throwIfAborted();
  const at = new URL(url);
  const host = hosts.get(at.origin);
  if (host === undefined) throw new NoAnswer(`no answer from ${at.origin}`);
  const { status, json, bytes } = host(method, at, Buffer.from(options.body ?? ''));
  return { status, headers: {}, body: bytes ?? Buffer.from(json === undefined ? '' : JSON.stringify(json)) };
};
