import { isUtf8 } from 'node:buffer';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];
/** A text that stands in JSON as it is, in bytes of one character each. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
const BLANKS = new Set([0x20, 0x09, 0x0a, 0x0d]);

/** A member of an object within a text: its value is the bytes from `valueAt` up to, not including, `end`. */
export interface Member {
  /** Without JSON's escapes. */
  readonly name: string;
  readonly valueAt: number;
  readonly end: number;
}

/**
 * The members of the object that begins at a place, in their order, a name as often as it occurs. Values are passed over,
 * not parsed: long strings cost next to nothing. The text after the object is not looked at.
 *
 * @returns undefined when there is no object, or its end is not found
 */
export function topLevelMembers(json: Buffer, objectAt: number): Member[] | undefined {
  if (json[objectAt] !== OPEN_BRACE) return undefined;
  const members: Member[] = [];
  let at = afterBlanks(json, objectAt + 1);
  if (json[at] === CLOSE_BRACE) return members;
  for (;;) {
    const nameEnd = json[at] === QUOTE ? afterString(json, at) : -1;
    const name = nameEnd < 0 ? undefined : textAt(json, at, nameEnd);
    const colon = afterBlanks(json, nameEnd);
    if (name === undefined || json[colon] !== COLON) return undefined;
    const valueAt = afterBlanks(json, colon + 1);
    const end = afterValue(json, valueAt);
    if (end < 0) return undefined;
    members.push({ name, valueAt, end });
    at = afterBlanks(json, end);
    if (json[at] === CLOSE_BRACE) return members;
    if (json[at] !== COMMA) return undefined;
    at = afterBlanks(json, at + 1);
  }
}

/** @returns where the string that begins at a quote is over, after its closing quote; -1 when it is not closed */
export function afterString(json: Buffer, quoteAt: number): number {
  for (let end = quoteAt; (end = json.indexOf(QUOTE, end + 1)) >= 0;) {
    let slashes = 0;
    while (json[end - 1 - slashes] === BACKSLASH) slashes++;
    // Those before the string do not count: the opening quote ends the row.
    if (slashes % 2 === 0) return end + 1;
  }
  return -1;
}

/** What the JSON string between two places says, its quotes among them; undefined when it is none. */
export function textAt(json: Buffer, from: number, end: number): string | undefined {
  const plain = json.toString('latin1', from + 1, end - 1);
  if (PLAIN.test(plain)) return plain;
  if (!isUtf8(json.subarray(from, end))) return undefined;
  try {
    return JSON.parse(json.toString('utf8', from, end)) as string;
  } catch {
    return undefined;
  }
}

/** Whether the bytes are one JSON object in UTF-8 and nothing else. Reads all of it. */
export function isJsonObject(json: Buffer): boolean {
  if (json[0] !== OPEN_BRACE || !isUtf8(json)) return false;
  try {
    // Bytes above 127 are lawful in strings alone, whatever they stand for: latin1 spares the decoding.
    JSON.parse(json.toString('latin1'));
    return true;
  } catch {
    return false;
  }
}

function afterBlanks(json: Buffer, at: number): number {
  while (BLANKS.has(json[at]!)) at++;
  return at;
}

function afterValue(json: Buffer, at: number): number {
  if (json[at] === QUOTE) return afterString(json, at);
  let depth = 0;
  for (; at < json.length; at++) {
    switch (json[at]) {
      case QUOTE:
        at = afterString(json, at) - 1;
        if (at < 0) return -1;
        break;
      case OPEN_BRACE:
      case OPEN_BRACKET:
        depth++;
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        // Of the object around a bare number, or the last of this value.
        if (depth === 0) return at;
        if (--depth === 0) return at + 1;
        break;
      case COMMA:
        if (depth === 0) return at;
        break;
      default:
    }
  }
  return -1;
}
