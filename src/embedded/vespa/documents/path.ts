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
    readonly pathId: string,
    message: string,
  ) {
    super(message);
  }
}

/** Refused by the HTTP server before any handler: an HTML 400. */
export class JettyRefusal extends Error {}

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
  const raw = normalizePath(rawPath);
  const nothing = () =>
    new PathError(404, raw, `Nothing at '${raw}'. Available paths are:\n${PATHS.join('\n')}`);
  const segments = raw.split('/').slice(1);
  if (segments[0] !== 'document' || segments[1] !== 'v1') throw nothing();
  const parts = segments
    .slice(2)
    .filter((s, i, all) => !(s === '' && i === all.length - 1))
    .map((s) => decode(s, raw));
  if (parts.length === 0) return { raw };
  const [namespace, type, kind, ...rest] = parts;
  if (namespace === undefined || type === undefined || kind === undefined) throw nothing();
  const bad = (message: string) => new PathError(400, raw, message);
  const one = (parts: { user: string; group?: string; number?: bigint }) =>
    checkedId({ namespace, type, ...parts }, bad);
  if (kind === 'docid') {
    if (rest.length === 0) return { raw, namespace, type };
    return { raw, namespace, type, id: one({ user: rest.join('/') }) };
  }
  const [modifier, ...user] = rest;
  if (modifier === undefined || (kind !== 'group' && kind !== 'number')) throw nothing();
  if (kind === 'group') {
    const control = [...modifier].find((c) => c < ' ');
    if (control !== undefined) {
      throw bad(
        `Illegal code point U${control.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')} in group`,
      );
    }
    if (user.length === 0) return { raw, namespace, type, group: modifier };
    return { raw, namespace, type, group: modifier, id: one({ group: modifier, user: user.join('/') }) };
  }
  const number = readNumber(modifier, bad);
  if (user.length === 0) return { raw, namespace, type, number };
  // Unsigned in the path, signed in the id.
  if (number >= 2n ** 63n) throw bad(`For input string: "${modifier}"`);
  return { raw, namespace, type, number, id: one({ number, user: user.join('/') }) };
}

function readNumber(text: string, bad: (message: string) => PathError): bigint {
  if (/^-\d+$/.test(text))
    throw bad(`Failed parsing '${text}': Illegal leading minus sign on unsigned string ${text}.`);
  if (!/^\d+$/.test(text)) throw bad(`Failed parsing '${text}': For input string: "${text}"`);
  if (BigInt(text) >= 2n ** 64n)
    throw bad(`Failed parsing '${text}': String value ${text} exceeds range of unsigned long.`);
  return BigInt(text);
}

/** An id must read back as what it was made of: its own text is what is stored. */
function checkedId(parts: Parameters<typeof documentId>[0], bad: (message: string) => PathError): DocumentId {
  const id = documentId(parts);
  const [, , , modifiers = ''] = id.text.split(':');
  const pairs =
    parts.namespace.includes(':') || parts.type.includes(':') || parts.group !== undefined
      ? modifiers.split(',')
      : [];
  const illegal = pairs.find((pair) => pair !== '' && !/^[gn]=/.test(pair));
  if (illegal !== undefined) throw bad(`Illegal key-value pair '${illegal}'`);
  const control = [...id.text].find((c) => c < ' ' && !'\t\n\r'.includes(c));
  if (control !== undefined)
    throw bad(
      `Unparseable id '${id.text}': Contains illegal code point 0x${control.charCodeAt(0).toString(16).toUpperCase()}`,
    );
  return id;
}

/** As Jetty leaves it: duplicate slashes and dot segments resolved, escapes untouched. */
export function normalizePath(path: string): string {
  const out: string[] = [];
  const segments = path
    .replace(/\/{2,}/g, '/')
    .split('/')
    .slice(1);
  for (const [i, segment] of segments.entries()) {
    if (segment === '..') out.pop();
    else if (segment !== '.') out.push(segment);
    if ((segment === '..' || segment === '.') && i === segments.length - 1) out.push('');
  }
  return `/${out.join('/')}`;
}

function decode(segment: string, raw: string): string {
  let text: string;
  try {
    text = decodeURIComponent(segment.replaceAll('+', ' '));
  } catch {
    throw new JettyRefusal();
  }
  if (text.includes('\0')) throw new JettyRefusal();
  if (text === '.' || text === '..' || text === '') {
    throw new PathError(400, raw, `path segments cannot be "", ".", or "..", but got: '${text}'`);
  }
  return text;
}
