import { isUtf8 } from 'node:buffer';
import { OpsError } from '../domain/errors.js';
import { quoteForMessage } from '../domain/ids.js';
import type { DocumentAddress } from './documents.js';

const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = '\\'.charCodeAt(0);
const OPEN = '{'.charCodeAt(0);
const CLOSE = '}'.charCodeAt(0);
const PUT = Buffer.from('{"put":"');
const FIELDS = Buffer.from(',"fields":');

/** A line `{"put":"id:…","fields":{…}}` taken apart; nothing within the fields is read. */
export interface PutLine {
  /** Whole document id, unescaped: `id:content:my_schema::doc_1`. */
  readonly id: string;
  /** `{…}`, the line's own bytes. */
  readonly fields: Buffer;
}

/** @throws OpsError `InvalidInput` when the line is not exactly of the form in which visits write documents */
export function splitPut(line: Buffer): PutLine {
  const idEnd = endOfId(line);
  const fieldsAt = idEnd + 1 + FIELDS.length;
  const fields = line.subarray(fieldsAt, -1);
  const isPut =
    idEnd > 0 &&
    FIELDS.compare(line, idEnd + 1, fieldsAt) === 0 &&
    fields.length >= 2 &&
    fields[0] === OPEN &&
    fields[fields.length - 1] === CLOSE &&
    line[line.length - 1] === CLOSE;
  if (!isPut) throw notPut(line);
  return { id: textOf(line, idEnd), fields };
}

/**
 * The body that stores the line's document again, `{"fields":{…}}`, without a copy: it takes over the bytes of the line,
 * which is no put afterwards.
 *
 * @throws OpsError `InvalidInput` as {@link splitPut}
 */
export function takeBody(line: Buffer): { readonly id: string; readonly body: Buffer } {
  const { id, fields } = splitPut(line);
  const at = line.length - 1 - fields.length - FIELDS.length;
  // The comma before "fields" becomes the brace that opens the body.
  line[at] = OPEN;
  return { id, body: line.subarray(at) };
}

/** The id's bytes as they stand in the line, escapes and all: equal for lines of one document, as one server wrote both. */
export function rawIdOf(line: Buffer): string {
  const idEnd = endOfId(line);
  if (idEnd < 0) throw notPut(line);
  return line.toString('latin1', PUT.length, idEnd);
}

const DOCUMENT_ID = /^id:([^:]+):([^:]+):(?:(g)=([^:]*)|(n)=(-?[0-9]+))?:([\s\S]+)$/;

/** `id:<namespace>:<schema>:<g=…, n=… or nothing>:<id>`. @throws OpsError `InvalidInput` */
export function parseDocumentId(text: string): DocumentAddress {
  const match = DOCUMENT_ID.exec(text);
  if (match === null) throw new OpsError('InvalidInput', `not a document id: ${quoteForMessage(text)}`);
  const [, namespace, schema, , group, , number, id] = match;
  return {
    namespace: namespace!,
    schema: schema!,
    id: id!,
    ...(group === undefined ? {} : { location: { group } }),
    ...(number === undefined ? {} : { location: { number } }),
  };
}

/** Where the quote that ends the id is; -1 when the line does not begin like a put. */
function endOfId(line: Buffer): number {
  if (line.length < PUT.length || PUT.compare(line, 0, PUT.length) !== 0) return -1;
  let end = line.indexOf(QUOTE, PUT.length);
  while (end > 0 && isEscaped(line, end)) end = line.indexOf(QUOTE, end + 1);
  return end;
}

/** An odd number of backslashes stands before it. */
function isEscaped(line: Buffer, at: number): boolean {
  let first = at;
  while (line[first - 1] === BACKSLASH) first--;
  return (at - first) % 2 === 1;
}

function textOf(line: Buffer, idEnd: number): string {
  const bytes = line.subarray(PUT.length, idEnd);
  // Bytes that are no text would all become the same sign, and two ids one.
  if (!isUtf8(bytes)) throw notPut(line);
  const text = bytes.toString('utf8');
  if (!text.includes('\\')) return text;
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    throw notPut(line);
  }
}

function notPut(line: Buffer): OpsError {
  return new OpsError(
    'InvalidInput',
    `not a line of a document: ${quoteForMessage(line.toString('utf8', 0, 100))}`,
    'a backup with such a line is damaged: see what else is wrong with cvops backup verify',
  );
}
