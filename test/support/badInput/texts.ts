import fc from 'fast-check';
import { expect } from 'vitest';
import { type FailureType, OpsError } from '../../../src/domain/errors.js';

/** Bad inputs over all kinds: by hand more than ten thousand, in CI as many as seconds allow. */
const SIZE = Number(process.env['CVOPS_FUZZ'] ?? (process.env['CI'] ? 1_500 : 12_000));

/** @param percent of all bad inputs; those of all tests are 100 or more */
export function share(percent: number): { readonly numRuns: number } {
  return { numRuns: Math.ceil((SIZE * percent) / 100) };
}

export const UUID = '0b8f0c8e-1d2f-4c7a-9b1e-5a6f7c8d9e0f';
export const BACKUP = '20261101T120000Z-0123abcd';

/** What no kind of name, number or address has in it, wherever it stands. */
export const POISON = [
  ...['\0', '\n', '\r', '\u001b[2J', ' ', '\t', '\u00a0', '\u200b', '\u202e', '\ufeff', '\u2028', '\ud800'],
  ...["'", '"', '`', ';--', '${x}', '$(id)', '{{x}}', '%00', '%2e%2e', '\\', '|id', '٣', '１', 'а'],
  // XML and schema text.
  ...['<!DOCTYPE x>', '<!ENTITY x SYSTEM "file:///etc/passwd">', '<x/>', ']]>', '&amp;', '&#10;'],
  ...['" mode="index', ' {', '} document b {', ' inherits b', '# ', 'first-phase { expression: 1 }'],
  // YQL and selections.
  ...[' or true', '" or true or title contains "', ') or (true', 'true and not false', '; select *'],
  ...[' | all(group(x))', '@x', '!(true)', 'id.user==1', ' limit 9'],
];

/** Texts that mean something to somebody else than us. */
export const FOREIGN = [
  ...['', '*', '%', '?', '-', '--', '..', '.', '../../etc/passwd', '~', '__proto__', 'constructor'],
  ...['null', 'undefined', 'NaN', 'nan', 'None', 'nil', '[object Object]', 'toString', 'true', 'false'],
  ...['all', 'none', 'admin', 'system', '0x10', '1e3', '-1', '999999999999999999999'],
  ...['<schema name="a"/>', 'schema a { document a {} }', 'select * from sources * where true', 'id:x:y::z'],
  ...['acme_corp and true', 'acme_corp.title == "x"', 'ACME_CORP', 'acme__corp', '_acme', 'acme_'],
  ...['acme-corp', 'http://169.254.169.254', 'javascript:alert(1)', 'file:///etc/passwd', 'data:,x'],
];

const poison = fc.constantFrom(...POISON);
const insert = (good: string, text: string, at: number): string => {
  const cut = at % (good.length + 1);
  return good.slice(0, cut) + text + good.slice(cut);
};

/** Texts that are not what `good` is one of, as far as no draw comes to be a good one by chance. */
export function bad(good: string): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.tuple(poison, fc.nat(200)).map(([p, at]) => insert(good, p, at)) },
    { weight: 2, arbitrary: fc.constantFrom(...FOREIGN) },
    { weight: 1, arbitrary: fc.constantFrom(...FOREIGN).map((text) => `${good}/${text}`) },
    // Longer than anything may be; a few repeats could be somebody else's good name.
    { weight: 1, arbitrary: fc.nat(500).map((n) => good.repeat(Math.ceil(5_000 / good.length) + n)) },
    // A short text of any characters could be a good one.
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.string({ unit: 'binary', maxLength: 60 }), poison, fc.nat(60))
        .map(([text, p, at]) => insert(text, p, at)),
    },
  );
}

/** A word of this language that the rule of tenant ids takes for a name, as it is one. */
export const isName = (text: string): boolean => text === 'constructor';

/** Bad tenant ids. */
export const badTenant = bad('acme_corp').filter((text) => text !== 'acme_corp' && !isName(text));

/** Of every type that is no text. */
export const NO_TEXTS: readonly unknown[] = [
  ...[undefined, null, 0, 1, NaN, true, 12n, Symbol('acme_corp'), {}, [], ['acme_corp']],
  ...[{ toString: () => 'acme_corp' }, new String('acme_corp'), () => 'acme_corp'],
];

/** That an input was refused for what it is, by an error that a person can be shown. */
export function expectRefused(run: () => unknown, what: unknown, type: FailureType = 'InvalidInput'): void {
  let taken: unknown;
  try {
    taken = run() ?? true;
  } catch (error) {
    expectRefusal(error, type);
    return;
  }
  expect.fail(`${shown(what)} was taken as ${shown(taken)}`);
}

export function expectRefusal(error: unknown, type: FailureType = 'InvalidInput'): void {
  expect(error).toBeInstanceOf(OpsError);
  expect((error as OpsError).type).toBe(type);
}

export function shown(value: unknown): string {
  return (typeof value === 'string' ? JSON.stringify(value) : String(value)).slice(0, 300);
}
