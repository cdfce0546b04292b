const [QUOTE, BACKSLASH, OPEN_ARRAY, CLOSE_ARRAY, OPEN, CLOSE, COMMA, COLON] = Buffer.from('"\\[]{},:');
/** Beyond it the native search for a quote is worth its call. */
const SHORT_STRING = 32;

/**
 * Walks over the fields of an object as `printJson` wrote it, without reading what they hold.
 *
 * @param field called with where the name begins (its quote), where the value begins, and where it ends
 * @param textLength how many bytes each text within a value has, so that they need not be searched; 0 where unknown
 */
export function forEachField(
  json: Buffer,
  length: number,
  field: (name: number, value: number, end: number) => void,
  textLength: (name: number, value: number) => number = () => 0,
): void {
  let at = 1;
  while (at < length && json[at] === QUOTE) {
    const value = endOfString(json, at) + 1;
    const end = endOfValue(json, value, textLength(at, value));
    field(at, value, end);
    at = end + 1;
  }
}

function endOfValue(json: Buffer, at: number, textLength: number): number {
  const first = json[at];
  if (first === QUOTE) return endOfString(json, at);
  if (first === OPEN || first === OPEN_ARRAY) return endOfStructure(json, at, textLength);
  let end = at + 1;
  while (json[end] !== COMMA && json[end] !== CLOSE) end++;
  return end;
}

function endOfStructure(json: Buffer, start: number, textLength: number): number {
  let depth = 0;
  for (let at = start; ; at++) {
    const byte = json[at];
    if (byte === QUOTE) at = isText(json, at, textLength) ? at + textLength + 1 : endOfString(json, at) - 1;
    else if (byte === OPEN || byte === OPEN_ARRAY) depth++;
    else if ((byte === CLOSE || byte === CLOSE_ARRAY) && --depth === 0) return at + 1;
    else if (byte === undefined) throw new Error('a stored document ends within a value');
  }
}

/** Whether a value of just that length begins here: labels, which are any text, end with a colon. */
function isText(json: Buffer, at: number, length: number): boolean {
  const after = json[at + length + 2];
  return (
    length > 0 &&
    json[at - 1] === COLON &&
    json[at + length + 1] === QUOTE &&
    (after === COMMA || after === CLOSE)
  );
}

/** Behind the closing quote. */
function endOfString(json: Buffer, start: number): number {
  let at = start + 1;
  for (const near = at + SHORT_STRING; at < near && json[at] !== QUOTE;) at += json[at] === BACKSLASH ? 2 : 1;
  if (json[at] === QUOTE) return at + 1;
  // An escape may have led just past the near part, but never onto what it escapes.
  for (;;) {
    const quote = json.indexOf(QUOTE!, at);
    if (quote < 0) throw new Error('a stored document ends within a text');
    let backslashes = 0;
    while (quote - backslashes > at && json[quote - backslashes - 1] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}
