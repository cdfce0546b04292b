import type { DocumentId } from '../store.js';

/** An id or path that names no document; answered with 400. */
export class IdError extends Error {}

export function documentId(parts: {
  readonly namespace: string;
  readonly type: string;
  readonly user: string;
  readonly group?: string;
  readonly number?: bigint;
}): DocumentId {
  const { namespace, type, user, group, number } = parts;
  const modifier =
    group !== undefined ? `g=${group}` : number !== undefined ? `n=${BigInt.asIntN(64, number)}` : '';
  return {
    text: `id:${namespace}:${type}:${modifier}:${user}`,
    namespace,
    type,
    user,
    ...(group === undefined ? {} : { group }),
    ...(number === undefined ? {} : { number }),
  };
}

/** @throws IdError */
export function parseDocumentId(text: string): DocumentId {
  const match = /^id:([^:]+):([^:]+):(?:g=([^:]*)|n=(-?\d+))?:([\s\S]*)$/.exec(text);
  if (match === null) throw new IdError(`Unable to parse id '${text}': Unknown id scheme`);
  const [, namespace, type, group, number, user] = match;
  return documentId({
    namespace: namespace!,
    type: type!,
    user: user!,
    ...(group === undefined ? {} : { group }),
    ...(number === undefined ? {} : { number: BigInt(number) }),
  });
}
