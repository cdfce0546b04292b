/** A text that is no rank expression; the message is the first line of what Vespa's parser says. */
export class ExpressionError extends Error {}

export interface Token {
  readonly kind: 'integer' | 'float' | 'identifier' | 'string' | 'symbol' | 'end';
  readonly text: string;
  readonly line: number;
  readonly column: number;
  /** Offset in the text. */
  readonly at: number;
}

const PATTERN =
  /([0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)|([0-9]+[A-Za-z0-9]*)|([A-Za-z_@$][A-Za-z0-9_@$]*)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(==|!=|~=|<=|>=|&&|\|\||[-+*/%^<>!(){}[\],.:;])/y;
const KINDS = ['float', 'integer', 'identifier', 'string', 'symbol'] as const;
/** Characters that only mean something together with the next one. */
const HALF = new Set(['=', '&', '|', '~']);

/** @throws ExpressionError at a character no expression has */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  let lineStart = 0;
  for (;;) {
    // `#` comments out the rest of the line.
    const blank = /(?:\s|#[^\n]*)*/y;
    blank.lastIndex = at;
    for (const char of blank.exec(text)![0]) {
      at += char.length;
      if (char !== '\n') continue;
      line++;
      lineStart = at;
    }
    const column = at - lineStart + 1;
    if (at >= text.length) {
      tokens.push({ kind: 'end', text: '', line, column: Math.max(1, column - 1), at });
      return tokens;
    }
    PATTERN.lastIndex = at;
    const match = PATTERN.exec(text);
    if (match === null || match[0] === ';') throw lexicalError(text, at, line, column);
    const kind = KINDS[match.slice(1).findIndex((group) => group !== undefined)]!;
    tokens.push({ kind, text: match[0], line, column, at });
    at += match[0].length;
  }
}

function lexicalError(text: string, at: number, line: number, column: number): ExpressionError {
  const half = HALF.has(text[at]!);
  const after = half ? text[at]! : '';
  const char = text[at + after.length];
  const where = `Lexical error at line ${line}, column ${column + after.length}.`;
  return new ExpressionError(
    char === undefined
      ? `${where}  Encountered: <EOF> after : "${after}"`
      : `${where}  Encountered: "${char}" (${char.charCodeAt(0)}), after : "${after}"`,
  );
}
