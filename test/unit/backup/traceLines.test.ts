import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOfLines } from '../../../src/backup/digest.js';
import { addDigests, noLines } from '../../../src/domain/lineDigests.js';
import { exactLine, parseExact } from '../../../src/backup/traces/exactJson.js';
import {
  type SpanLine,
  parseTraceLine,
  restorableLine,
  traceLine,
} from '../../../src/backup/traces/lines.js';
import { clonedId, clonedSession, renameLine } from '../../../src/backup/traces/rename.js';
import type { ClonePlan } from '../../../src/domain/clone.js';
import { parseIncarnation, parseTenantId } from '../../../src/domain/ids.js';

const life = (tenant: string, digit: string) => ({
  tenant: parseTenantId(tenant),
  incarnation: parseIncarnation(`${digit.repeat(8)}-1111-4111-8111-111111111111`),
});
const plan: ClonePlan = { from: life('acme', 'a'), to: life('globex', 'b') };

const span = (attributes: SpanLine['attributes'], more: Partial<SpanLine> = {}): SpanLine => ({
  name: 'search',
  context: { trace_id: 'a'.repeat(32), span_id: 'b'.repeat(16) },
  span_kind: 'CHAIN',
  parent_id: null,
  start_time: '2026-11-20T10:00:00.123456Z',
  end_time: '2026-11-20T10:00:01Z',
  status_code: 'OK',
  status_message: '',
  attributes,
  events: [],
  ...more,
});

describe('exact JSON', () => {
  it.each(['1.0', '-0', '12345678901234567890', '1e400', '-0.0', '1E5', '0.1', '7'])(
    'keeps the number %s as it was written',
    (number) => {
      const text = `{"a":[${number},{"b":${number}}]}`;
      expect(exactLine(parseExact(text)).toString()).toBe(text);
      expect(JSON.stringify(parseExact(text))).toBe(text);
    },
  );

  it('is one text for one value, whatever the order of its keys', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const line = exactLine(value);
        expect(exactLine(parseExact(line.toString()))).toEqual(line);
        expect(exactLine(reversed(value))).toEqual(line);
      }),
    );
  });
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}

describe('a line', () => {
  it('comes back as it was, also with names that objects have of their own', () => {
    const line = traceLine(
      'spans',
      span(parseExact('{"__proto__":{"x":1.0},"constructor":null}') as object as never),
    );
    expect(traceLine('spans', parseTraceLine('spans', line))).toEqual(line);
    expect(line.toString()).toContain('"__proto__":{"x":1.0}');
  });

  it.each([
    ['cut', (text: string) => text.slice(0, -1)],
    ['with a member more', (text: string) => text.replace('{"attributes"', '{"and":1,"attributes"')],
    ['with a member less', (text: string) => text.replace('"events":[],', '')],
    ['of another type', (text: string) => text.replace('"name":"search"', '"name":7')],
    ['not UTF-8', undefined],
  ])('that is damaged is refused without a word of what it holds: %s', (_, damage) => {
    const line = traceLine('spans', span({ 'input.value': 'secret' }));
    const damaged = damage
      ? Buffer.from(damage(line.toString()))
      : Buffer.concat([line.subarray(0, 20), Buffer.of(0xff)]);
    expect(() => parseTraceLine('spans', damaged)).toThrow(
      expect.objectContaining({
        type: 'VerificationFailed',
        message: expect.not.stringContaining('secret') as string,
      }),
    );
  });

  it('is restorable without the times and the source that Phoenix gives anew', () => {
    const note = (created_at: string) =>
      ({
        target: 'span',
        span_id: 'b'.repeat(16),
        identifier: 'x',
        note: 'hello',
        recorded: { created_at, updated_at: created_at, source: 'APP' },
      }) as const;
    expect(restorableLine(note('2026-01-01T00:00:00Z'))).toEqual(
      restorableLine(note('2027-01-01T00:00:00Z')),
    );
    expect(traceLine('notes', note('2026-01-01T00:00:00Z')).toString()).toContain('2026-01-01');
  });
});

describe('a clone', () => {
  it('has ids of OpenTelemetry, the same each time, and others in another life', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (id) => {
        const next: ClonePlan = { ...plan, to: life('globex', 'c') };
        expect(clonedId('trace', id, plan)).toMatch(/^(?!0+$)[0-9a-f]{32}$/);
        expect(clonedId('span', id, plan)).toMatch(/^(?!0+$)[0-9a-f]{16}$/);
        expect(clonedId('span', id, plan)).toBe(clonedId('span', id, plan));
        expect(clonedId('span', id, plan)).not.toBe(clonedId('span', id, next));
        expect(clonedId('trace', id, plan)).not.toContain(clonedId('span', id, plan));
      }),
    );
  });

  it('has only sessions of its own tenant, whatever they were', () => {
    const session = fc.oneof(
      fc.string(),
      fc.string().map((text) => `acme:${text}`),
      fc.integer(),
      fc.boolean(),
    );
    fc.assert(
      fc.property(session, (id) => {
        expect(clonedSession(id, plan).startsWith('globex:')).toBe(true);
      }),
    );
    expect(clonedSession('acme:s1', plan)).toBe('globex:s1');
    expect(clonedSession('s1', plan)).toBe('globex:s1');
    expect(clonedSession('acme_corp:s1', plan)).toBe('globex:acme_corp:s1');
  });

  it('keeps parents and children together', () => {
    const parent = renameLine('spans', span({}), plan);
    const child = renameLine('spans', span({}, { parent_id: 'b'.repeat(16) }), plan);
    expect(child.parent_id).toBe(parent.context.span_id);
    expect(child.context.trace_id).toBe(parent.context.trace_id);
  });

  it('is renamed in the attributes that hold the tenant’s own names, nested or dotted, and nowhere else', () => {
    const own = { tenant_id: 'acme', tenant: { id: 'acme', name: 'acme' }, session: { id: 'acme:1' } };
    const { attributes } = renameLine(
      'spans',
      span({
        ...own,
        incarnation: plan.from.incarnation,
        openinference: { project: { name: 'acme_project' } },
        'tenant.id': 'acme',
        metadata: own,
        query: 'acme',
        generation: JSON.rawJSON('12345678901234567890'),
      }),
      plan,
    );
    expect(attributes).toEqual({
      tenant_id: 'globex',
      tenant: { id: 'globex', name: 'acme' },
      session: { id: 'globex:1' },
      incarnation: plan.to.incarnation,
      openinference: { project: { name: 'globex_project' } },
      'tenant.id': 'globex',
      metadata: own,
      query: 'acme',
      generation: JSON.rawJSON('12345678901234567890'),
    });
    const others = {
      tenant_id: 'initech',
      tenant: 'acme',
      incarnation: 'other',
      openinference: {},
      session: {},
    };
    expect(renameLine('spans', span(others), plan).attributes).toEqual(others);
  });

  it('leaves the line of the original as it was', () => {
    const before = span({ tenant: { id: 'acme' }, session: { id: 's' } });
    const line = traceLine('spans', before);
    renameLine('spans', before, plan);
    expect(traceLine('spans', before)).toEqual(line);
  });
});

describe('a digest of lines', () => {
  const lines = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 20 });

  it('is of all lines in any order, and the sum of its parts', async () => {
    await fc.assert(
      fc.asyncProperty(lines, lines, async (one, two) => {
        const whole = await digestOfLines([...one, ...two]);
        expect(await digestOfLines([...two.toReversed(), ...one])).toEqual(whole);
        const [a, b] = [await digestOfLines(one), await digestOfLines(two)];
        expect(addDigests(a.digest, b.digest)).toBe(whole.digest);
        expect(whole.count).toBe(one.length + two.length);
        expect(whole.digest).toMatch(/^[0-9a-f]{64}$/);
      }),
    );
  });

  it('changes with any line that is changed, missing or there twice', async () => {
    await fc.assert(
      fc.asyncProperty(lines, fc.uint8Array({ maxLength: 20 }), async (others, line) => {
        const whole = await digestOfLines([...others, line]);
        expect((await digestOfLines([...others, Buffer.concat([line, Buffer.of(1)])])).digest).not.toBe(
          whole.digest,
        );
        expect((await digestOfLines(others)).digest).not.toBe(whole.digest);
        expect((await digestOfLines([...others, line, line])).digest).not.toBe(whole.digest);
      }),
    );
    expect((await digestOfLines([])).digest).toBe(noLines);
  });
});
