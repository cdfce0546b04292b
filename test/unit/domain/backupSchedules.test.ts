import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SCHEDULED, scheduleOffset } from '../../../src/domain/backupSchedules.js';
import { parseTenantId } from '../../../src/domain/ids.js';

const DAY = 86_400;

test('a tenant has a time of its own within each interval', () => {
  const id = fc.stringMatching(/^[a-z][a-z0-9]{4,20}$/).map((text) => parseTenantId(text));
  fc.assert(
    fc.property(
      ...[id, fc.constantFrom(...SCHEDULED), fc.integer({ min: 10, max: 30 * DAY })],
      (tenant, what, every) => {
        const offset = scheduleOffset(tenant, what, every);
        expect(Number.isInteger(offset) && offset >= 0 && offset < every).toBe(true);
        expect(scheduleOffset(tenant, what, every)).toBe(offset);
      },
    ),
  );
});

test('a thousand tenants back up all over the day', () => {
  const hours = new Set<number>();
  const perHour = new Map<number, number>();
  for (let i = 0; i < 1000; i++) {
    const hour = Math.floor(scheduleOffset(parseTenantId(`tenant${i}`), 'backup', DAY) / 3600);
    hours.add(hour);
    perHour.set(hour, (perHour.get(hour) ?? 0) + 1);
  }
  expect(hours.size).toBe(24);
  expect(Math.max(...perHour.values())).toBeLessThan(100);
});
