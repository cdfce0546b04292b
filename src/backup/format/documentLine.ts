import { OpsError } from '../../domain/errors.js';
import { afterString, textAt, topLevelMembers } from './jsonBytes.js';

const HEAD = Buffer.from('{"put":"');
const FIELDS = Buffer.from(',"fields":{');
const END = Buffer.from('}}');
const ID = Buffer.from('id:');
const QUOTE = 0x22;
/** Of an id in an error, bytes. */
const SHOWN = 200;

/** Whose documents they are: what every id of a schema begins with. */
export interface DocumentsOf {
  readonly namespace: string;
  readonly schema: string;
}

/** A line `{"put":"id:<namespace>:<schema>::<user>","fields":{…}}`, taken apart without reading the fields. */
export interface DocumentLine {
  /** The whole id, without JSON's escapes. */
  readonly id: string;
  /** The part of the id after `::`, likewise. */
  readonly user: string;
  /** The object `{…}`, the line's own bytes. */
  readonly fields: Buffer;
}

/** What a restore into another tenant, or another life of the same, changes in a document. */
export interface DocumentRename {
  readonly from: DocumentsOf;
  readonly to: DocumentsOf;
  /** New values of fields that are texts, by name; a document without the field stays without it. */
  readonly fields: Readonly<Record<string, string>>;
}

/**
 * @throws OpsError `VerificationFailed` for another form of line or a document of another schema; whether the fields are
 *   JSON is not looked at
 */
export function documentLine(line: Buffer, of: DocumentsOf): DocumentLine {
  const { idEnd, fieldsAt } = partsOf(line);
  const prefix = prefixOf(of);
  const id = textAt(line, HEAD.length - 1, idEnd);
  if (id === undefined) throw refused(line, 'its id is no text');
  if (!id.startsWith(prefix)) throw refused(line, `it is none of ${prefix}`);
  const user = id.slice(prefix.length);
  if (user === '') throw refused(line, 'its id is empty');
  return { id, user, fields: line.subarray(fieldsAt, line.length - 1) };
}

/**
 * Makes documents the other tenant's: id and the named fields are replaced, at the top level of the fields and each time
 * they occur; all other bytes of a line stay.
 *
 * What it returns throws OpsError `VerificationFailed` for another form of line, a document of another schema, or a named
 * field that is no text.
 */
export function lineRenamer({ from, to, fields }: DocumentRename): (line: Buffer) => Buffer {
  const before = Buffer.from(prefixOf(from));
  const head: Buffer = Buffer.concat([HEAD, Buffer.from(prefixOf(to))]);
  const values = new Map(
    Object.entries(fields).map(([name, value]): [string, Buffer] => [
      name,
      Buffer.from(JSON.stringify(value)),
    ]),
  );
  return (line) => {
    const { fieldsAt } = partsOf(line);
    if (!startsWith(line, before, HEAD.length)) throw refused(line, `it is none of ${prefixOf(from)}`);
    const pieces = [head];
    let kept = HEAD.length + before.length;
    for (const { name, valueAt, end } of topLevelMembers(line, fieldsAt) ?? notJson(line)) {
      const value = values.get(name);
      if (value === undefined) continue;
      if (line[valueAt] !== QUOTE) throw refused(line, `its ${name} is no text`);
      pieces.push(line.subarray(kept, valueAt), value);
      kept = end;
    }
    pieces.push(line.subarray(kept));
    return Buffer.concat(pieces);
  };
}

/** Where the id's closing quote ends, and where the fields begin. */
function partsOf(line: Buffer): { idEnd: number; fieldsAt: number } {
  const idEnd = startsWith(line, HEAD, 0) ? afterString(line, HEAD.length - 1) : -1;
  if (idEnd < 0 || !startsWith(line, FIELDS, idEnd) || !startsWith(line, END, line.length - END.length))
    throw refused(line, 'it is no {"put":…,"fields":{…}}');
  return { idEnd, fieldsAt: idEnd + FIELDS.length - 1 };
}

function prefixOf({ namespace, schema }: DocumentsOf): string {
  return `id:${namespace}:${schema}::`;
}

function startsWith(line: Buffer, text: Buffer, at: number): boolean {
  return (
    at >= 0 &&
    line.length >= at + text.length &&
    line.compare(text, 0, text.length, at, at + text.length) === 0
  );
}

function notJson(line: Buffer): never {
  throw refused(line, 'its fields are no JSON object');
}

function refused(line: Buffer, why: string): OpsError {
  return new OpsError('VerificationFailed', `not a document of the backup: ${shown(line)}: ${why}`);
}

/** Its id, when it has one, else its length: what else is in a line is the tenant's. */
function shown(line: Buffer): string {
  const idEnd =
    startsWith(line, HEAD, 0) && startsWith(line, ID, HEAD.length) ? afterString(line, HEAD.length - 1) : -1;
  return idEnd < 0
    ? `one of ${line.length} bytes`
    : line.toString('utf8', HEAD.length, Math.min(idEnd - 1, SHOWN));
}
