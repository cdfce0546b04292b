/** A query the emulator cannot make of its YQL; answered with code 4 as the real one does. */
export class YqlError extends Error {}

export type Where =
  | { readonly kind: 'true' | 'false' }
  | { readonly kind: 'and' | 'or' | 'rank'; readonly items: readonly Where[] }
  | { readonly kind: 'not'; readonly item: Where }
  | {
      readonly kind: 'contains';
      readonly field: string;
      readonly words: readonly string[];
      readonly prefix: boolean;
    }
  | { readonly kind: 'matches'; readonly field: string; readonly pattern: string }
  | {
      readonly kind: 'compare';
      readonly field: string;
      readonly op: '=' | '!=' | '<' | '<=' | '>' | '>=';
      readonly value: string | number | boolean;
    }
  | { readonly kind: 'in'; readonly field: string; readonly values: readonly (string | number)[] }
  | {
      readonly kind: 'userInput';
      readonly text: string;
      readonly defaultIndex: string;
      readonly grammar: string;
    }
  | { readonly kind: 'nearest'; readonly field: string; readonly query: string; readonly targetHits: number };

export interface Yql {
  /** Undefined for `*`. */
  readonly fields: readonly string[] | undefined;
  /** Undefined for `sources *`. */
  readonly sources: readonly string[] | undefined;
  readonly where: Where;
  readonly orderBy: readonly { readonly field: string; readonly descending: boolean }[];
  readonly limit: number | undefined;
  readonly offset: number | undefined;
}

/**
 * Parses the part of YQL that programs write.
 *
 * @param parameter the value of `@name`
 * @throws YqlError
 */
export function parseYql(text: string, parameter: (name: string) => string | undefined): Yql {
  return new Parser(text, parameter).query();
}

interface Token {
  readonly text: string;
  readonly at: number;
}

type Annotations = Readonly<Record<string, unknown>>;

class Parser {
  private readonly tokens: Token[];
  private at = 0;

  constructor(
    private readonly yql: string,
    private readonly parameter: (name: string) => string | undefined,
  ) {
    const pattern =
      /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|@?[A-Za-z_][A-Za-z0-9_.-]*|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?L?|<=|>=|!=|\S/g;
    this.tokens = [...yql.matchAll(pattern)].map((m) => ({ text: m[0], at: m.index }));
  }

  query(): Yql {
    this.word('select');
    const fields = this.list();
    this.word('from');
    if (this.is('sources')) this.at++;
    const sources = this.list();
    const where: Where = this.take('where') ? this.or() : { kind: 'true' };
    const orderBy: { field: string; descending: boolean }[] = [];
    if (this.take('order')) {
      this.word('by');
      do {
        this.annotations();
        const field = this.next();
        const descending = this.take('desc');
        if (!descending) this.take('asc');
        orderBy.push({ field, descending });
      } while (this.take(','));
    }
    const limit = this.take('limit') ? Number(this.next()) : undefined;
    const offset = this.take('offset') ? Number(this.next()) : undefined;
    if (this.take('timeout')) this.next();
    this.take(';');
    if (this.tokens[this.at]?.text === '|') throw new YqlError('grouping is not supported by the emulator');
    if (this.at < this.tokens.length) this.fail();
    return { fields, sources, where, orderBy, limit, offset };
  }

  private list(): string[] | undefined {
    if (this.take('*')) return undefined;
    const names = [this.next()];
    while (this.take(',')) names.push(this.next());
    return names;
  }

  private or(): Where {
    const items = [this.and()];
    while (this.take('or')) items.push(this.and());
    return items.length === 1 ? items[0]! : { kind: 'or', items };
  }

  private and(): Where {
    const items = [this.term()];
    while (this.take('and')) items.push(this.term());
    return items.length === 1 ? items[0]! : { kind: 'and', items };
  }

  private term(): Where {
    if (this.take('!')) {
      this.symbol('(');
      const item = this.or();
      this.symbol(')');
      return { kind: 'not', item };
    }
    const annotations = this.annotations();
    if (this.take('(')) {
      // `({a:1}term)`: annotations inside, before the term.
      const inner = this.or();
      this.symbol(')');
      return inner;
    }
    if (this.take('true')) return { kind: 'true' };
    if (this.take('false')) return { kind: 'false' };
    const name = this.next();
    if (this.is('(')) return this.call(name, annotations);
    return this.comparison(name, annotations);
  }

  private call(name: string, annotations: Annotations): Where {
    this.symbol('(');
    const lower = name.toLowerCase();
    if (lower === 'userinput') {
      const text = this.string();
      this.symbol(')');
      return this.userInput(text, annotations);
    }
    if (lower === 'userquery') {
      this.symbol(')');
      return this.userInput(this.parameter('query') ?? '', { grammar: 'all', ...annotations });
    }
    if (lower === 'nearestneighbor') {
      const field = this.next();
      this.symbol(',');
      const query = this.next();
      this.symbol(')');
      return {
        kind: 'nearest',
        field,
        query,
        targetHits: Number(annotations['targetHits'] ?? annotations['targetNumHits'] ?? 10),
      };
    }
    if (lower === 'range') {
      const field = this.next();
      this.symbol(',');
      const low = Number(this.literal());
      this.symbol(',');
      const high = Number(this.literal());
      this.symbol(')');
      return {
        kind: 'and',
        items: [
          { kind: 'compare', field, op: '>=', value: low },
          { kind: 'compare', field, op: '<=', value: high },
        ],
      };
    }
    if (lower === 'weakand' || lower === 'rank') {
      const items = [this.or()];
      while (this.take(',')) items.push(this.or());
      this.symbol(')');
      return { kind: lower === 'rank' ? 'rank' : 'or', items };
    }
    this.at -= 2;
    return this.fail();
  }

  private userInput(text: string, annotations: Annotations): Where {
    return {
      kind: 'userInput',
      text,
      defaultIndex: String((annotations['defaultIndex'] as string | undefined) ?? 'default'),
      grammar: String((annotations['grammar'] as string | undefined) ?? 'weakAnd'),
    };
  }

  private comparison(field: string, annotations: Annotations): Where {
    const op = this.next().toLowerCase();
    if (op === 'contains') {
      const inner = { ...annotations, ...this.annotations() };
      if (this.take('phrase')) {
        this.symbol('(');
        const words = [this.string()];
        while (this.take(',')) words.push(this.string());
        this.symbol(')');
        return { kind: 'contains', field, words, prefix: false };
      }
      return { kind: 'contains', field, words: [this.string()], prefix: inner['prefix'] === true };
    }
    if (op === 'matches') return { kind: 'matches', field, pattern: this.string() };
    if (op === 'in') {
      this.symbol('(');
      const values = [this.literal()];
      while (this.take(',')) values.push(this.literal());
      this.symbol(')');
      return { kind: 'in', field, values: values.map((v) => (typeof v === 'boolean' ? String(v) : v)) };
    }
    if (['=', '!=', '<', '<=', '>', '>='].includes(op)) {
      return { kind: 'compare', field, op: op as '=', value: this.literal() };
    }
    this.at--;
    return this.fail();
  }

  /** `{targetHits: 10, defaultIndex: "x"}`, also in the old form `[{…}]`. */
  private annotations(): Annotations {
    const old = this.is('[') && this.tokens[this.at + 1]?.text === '{';
    if (old) this.at++;
    if (!this.take('{')) return {};
    const found: Record<string, unknown> = {};
    while (!this.take('}')) {
      const key = this.next().replace(/^["']|["']$/g, '');
      this.symbol(':');
      found[key] = this.literal();
      this.take(',');
    }
    if (old) this.symbol(']');
    return found;
  }

  private literal(): string | number | boolean {
    const token = this.next();
    if (token === 'true' || token === 'false') return token === 'true';
    if (/^-?\d/.test(token)) return Number(token.replace(/L$/, ''));
    this.at--;
    return this.string();
  }

  private string(): string {
    const token = this.next();
    if (token.startsWith('@')) return this.parameter(token.slice(1)) ?? '';
    if (!/^["']/.test(token)) {
      this.at--;
      this.fail();
    }
    return token
      .slice(1, -1)
      .replace(/\\u([0-9a-fA-F]{4})|\\(.)/g, (_, code: string | undefined, char: string | undefined) => {
        if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16));
        return { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f' }[char!] ?? char!;
      });
  }

  private is(text: string): boolean {
    return this.tokens[this.at]?.text.toLowerCase() === text;
  }

  private take(text: string): boolean {
    if (!this.is(text)) return false;
    this.at++;
    return true;
  }

  private word(text: string): void {
    if (!this.take(text)) this.fail(text);
  }

  private symbol(text: string): void {
    if (!this.take(text)) this.fail(text);
  }

  private next(): string {
    const token = this.tokens[this.at++];
    if (token === undefined) {
      this.at--;
      return this.fail();
    }
    return token.text;
  }

  private fail(expected?: string): never {
    const token = this.tokens[this.at];
    const before = this.yql.slice(0, token?.at ?? this.yql.length).split('\n');
    const where = `L${before.length}:${before.at(-1)!.length}`;
    const got = token?.text ?? '<EOF>';
    throw new YqlError(
      expected === undefined
        ? `query:${where} no viable alternative at input '${got}'`
        : `query:${where} mismatched input '${got}' expecting '${expected}'`,
    );
  }
}
