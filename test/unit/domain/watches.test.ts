import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCron } from '../../../src/domain/cron.js';
import { parseTenantId } from '../../../src/domain/ids.js';
import { scheduleIds } from '../../../src/domain/naming.js';
import { PROFILE_NAMES } from '../../../src/domain/profiles.js';
import { type VideoSource, parseSource } from '../../../src/domain/sources.js';
import {
  defaultWatchName,
  formatEvery,
  formatTimes,
  jitterSeconds,
  parseCron,
  parseEvery,
  parseTimes,
  parseWatchName,
} from '../../../src/domain/watches.js';

const [FRAMES, CHUNKS] = PROFILE_NAMES;
const DAY = 86_400;

describe('an interval', () => {
  it.each([
    ['10s', 10],
    ['90s', 90],
    ['15m', 900],
    ['6h', 21_600],
    ['30d', 30 * DAY],
  ])('%s is %i seconds', (text, seconds) => expect(parseEvery(text)).toBe(seconds));

  it.each([
    '',
    '15',
    'm',
    '0m',
    '9s',
    '31d',
    '1.5h',
    '-5m',
    '15 m',
    '15M',
    '015m',
    '1h30m',
    '99999999d',
    '١٥m',
  ])('%j is refused', (text) => expect(() => parseEvery(text)).toThrow(/not an interval/));

  it('is written as it is read back, and spread by a tenth of it, five minutes at most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 30 * DAY }), (everySeconds) => {
        expect(parseEvery(formatEvery(everySeconds))).toBe(everySeconds);
        expect(parseTimes(formatTimes({ everySeconds }))).toEqual({ everySeconds });
        const jitter = jitterSeconds({ everySeconds });
        expect(jitter).toBeLessThanOrEqual(Math.min(300, everySeconds / 10));
        expect(jitter).toBeGreaterThanOrEqual(1);
      }),
    );
    expect(formatEvery(5400)).toBe('90m');
    expect(jitterSeconds({ cron: '0 3 * * *' })).toBe(0);
  });
});

describe('a cron expression', () => {
  it.each(['* * * * *', '*/15 * * * *', '0 3 * * 1-5', '5,35 0-6/2 1 JAN-mar sun', '0 0 31 12 7'])(
    '%s is taken',
    (text) => {
      expect(parseCron(text)).toBe(text);
      expect(parseTimes(formatTimes({ cron: text }))).toEqual({ cron: text });
    },
  );

  it.each([
    ...['', '* * * *', '* * * * * *', '60 * * * *', '* 24 * * *', '* * 0 * *', '* * 32 * *', '* * * 13 *'],
    ...['* * * * 8', '5-1 * * * *', '*/0 * * * *', '*-5 * * * *', '@daily', '@every 1m', 'a * * * *'],
    ...['CRON_TZ=UTC 0 3 * * *', '0 3 * * mo', '1,, * * * *', '? * * * *'],
  ])('%j is refused', (text) => expect(() => parseCron(text)).toThrow(/not a cron expression/));

  it('of numbers in their ranges is taken, whatever they are', () => {
    const field = (from: number, to: number) =>
      fc
        .tuple(
          fc.integer({ min: from, max: to }),
          fc.integer({ min: from, max: to }),
          fc.integer({ min: 1, max: 99 }),
        )
        .map(([a, b, step]) => `${Math.min(a, b)}-${Math.max(a, b)}/${step}`);
    const fields = fc.tuple(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7));
    fc.assert(fc.property(fields, (five) => isCron(five.join(' '))));
  });
});

describe('a name', () => {
  it.each(['a', 'inbox', 'inbox-2', 'in_box', '9', 'x'.repeat(60)])('%s is one', (text) =>
    expect(parseWatchName(text)).toBe(text),
  );
  it.each(['', '-a', 'a-', 'a--b', 'A', 'a/b', 'a b', 'ä', 'x'.repeat(61), 7, undefined])(
    '%j is none',
    (text) => expect(() => parseWatchName(text)).toThrow(/not the name of a watch/),
  );

  it('that nobody gave says source and profile', () => {
    expect(defaultWatchName(FRAMES, parseSource('/data/Inbox 2026/'))).toMatch(
      /^inbox-2026-colpali-[0-9a-f]{8}$/,
    );
    expect(defaultWatchName(CHUNKS, parseSource('s3://bucket'))).toMatch(/^bucket-videoprism-[0-9a-f]{8}$/);
    expect(defaultWatchName(CHUNKS, parseSource('/'))).toMatch(/^videoprism-[0-9a-f]{8}$/);
  });

  it('is one for every source and profile, and another for a list than for a folder', () => {
    const text = fc
      .string({ minLength: 1, maxLength: 80, unit: 'grapheme' })
      .filter((t) => !t.includes('\0'));
    fc.assert(
      fc.property(text, fc.constantFrom(...PROFILE_NAMES), (name, profile) => {
        const folder: VideoSource = { kind: 'folder', path: `/${name}` };
        const made = defaultWatchName(profile, folder);
        expect(defaultWatchName(profile, { ...folder })).toBe(made);
        expect(defaultWatchName(profile, { ...folder, kind: 'list' })).not.toBe(made);
        for (const other of PROFILE_NAMES)
          if (other !== profile) expect(defaultWatchName(other, folder)).not.toBe(made);
      }),
    );
  });

  it('makes the schedule’s id together with the tenant’s', () => {
    expect(scheduleIds.watch(parseTenantId('acme_corp'), parseWatchName('inbox'))).toBe(
      'tenant/acme_corp/watch/inbox',
    );
  });
});
