import type { DocumentId } from '../store.js';
import { documentId } from './documentId.js';

/** What a request's path names: the root, a type, a group or number of it, or one document. */
export interface DocumentPath {
  readonly raw: string;
  readonly namespace?: string;
  readonly type?: string;
  readonly group?: string;
  readonly number?: bigint;
  /** A single document. */
  readonly id?: DocumentId;
}

export class PathError extends Error {
  constructor(
    readonly status: 400 | 404,
    message: string,
  ) {
    super(message);
  }
}

const PATHS = [
  '/document/v1/',
  '/document/v1/{namespace}/{documentType}/docid/',
  '/document/v1/{namespace}/{documentType}/group/{group}/',
  '/document/v1/{namespace}/{documentType}/number/{number}/',
  '/document/v1/{namespace}/{documentType}/docid/{*}',
  '/document/v1/{namespace}/{documentType}/group/{group}/{*}',
  '/document/v1/{namespace}/{documentType}/number/{number}/{*}',
];

/**
 * Takes a document/v1 path apart. Segments are form-decoded: `+` is a space; `//` collapses, an unencoded `..` is gone
 * before the handler, `%2F` stays inside its segment.
 */
export function parseDocumentPath(rawPath: string): DocumentPath {
  const raw = normalize(rawPath);
  const nothing = () => new PathError(404, `Nothing at '${raw}'. Available paths are:\n${PATHS.join('\n')}`);
  const segments = raw.split('/').slice(1);
  if (segments[0] !== 'document' || segments[1] !== 'v1') throw nothing();
  const parts = segments
    .slice(2)
    .filter((s, i, all) => !(s === '' && i === all.length - 1))
    .map((s) => decode(s, raw));
  if (parts.length === 0) return { raw };
  const [namespace, type, kind, ...rest] = parts;
  if (namespace === undefined || type === undefined || kind === undefined) throw nothing();
  if (kind === 'docid') {
    if (rest.length === 0) return { raw, namespace, type };
    return { raw, namespace, type, id: documentId({ namespace, type, user: rest.join('/') }) };
  }
  const [modifier, ...user] = rest;
  if (modifier === undefined || (kind !== 'group' && kind !== 'number')) throw nothing();
  if (kind === 'group') {
    if (user.length === 0) return { raw, namespace, type, group: modifier };
    return {
      raw,
      namespace,
      type,
      group: modifier,
      id: documentId({ namespace, type, group: modifier, user: user.join('/') }),
    };
  }
  if (!/^\d+$/.test(modifier) || BigInt(modifier) >= 2n ** 64n)
    throw new PathError(400, `Failed parsing document number '${modifier}'`);
  const number = BigInt(modifier);
  if (number >= 2n ** 63n && user.length > 0)
    throw new PathError(400, `Failed parsing '${modifier}': For input string: "${modifier}"`);
  if (user.length === 0) return { raw, namespace, type, number };
  return { raw, namespace, type, number, id: documentId({ namespace, type, number, user: user.join('/') }) };
}

/** As Jetty leaves it: duplicate slashes and dot segments resolved, escapes untouched. */
function normalize(path: string): string {
  const out: string[] = [];
  for (const segment of path
    .replace(/\/{2,}/g, '/')
    .split('/')
    .slice(1)) {
    if (segment === '..') out.pop();
    else if (segment !== '.') out.push(segment);
  }
  return `/${out.join('/')}`;
}

function decode(segment: string, raw: string): string {
  try {
    const text = decodeURIComponent(segment.replaceAll('+', ' '));
    if (text === '.' || text === '..')
      throw new PathError(400, `Path segments must not be '.' or '..', in '${raw}'`);
    return text;
  } catch (error) {
    if (error instanceof PathError) throw error;
    throw new PathError(400, `URLDecoder: Illegal hex characters in escape (%) pattern in '${raw}'`);
  }
}
