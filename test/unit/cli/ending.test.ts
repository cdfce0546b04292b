import { describe, expect, it } from 'vitest';
import { endWith, exitCodeOf } from '../../../src/cli/ending.js';
import { ExitWith } from '../../../src/cli/output.js';
import { FAILURES, type FailureType } from '../../../src/domain/errors.js';
import { OPERATION_KINDS } from '../../../src/domain/states.js';

const NONE = { counts: {}, error: null };
const VERIFICATIONS = ['verifyBackup', 'verifyIsolation', 'testIsolation'];

describe('the exit code of an operation', () => {
  it.each(OPERATION_KINDS)('%s: 0 when all is done; with failures 8 of a verification, else 3', (kind) => {
    expect(exitCodeOf({ kind, state: 'completed', ...NONE })).toBe(0);
    const failing = VERIFICATIONS.includes(kind) ? 8 : 3;
    expect(exitCodeOf({ kind, state: 'completed_with_failures', ...NONE })).toBe(failing);
    expect(exitCodeOf({ kind, state: 'cancelled', ...NONE })).toBe(1);
  });

  it.each(Object.keys(FAILURES) as FailureType[])('is that of what it failed with: %s', (code) => {
    const error = { code, message: 'so it was' };
    const ended = { kind: 'backupTenant', state: 'failed', counts: {}, error } as const;
    expect(exitCodeOf(ended)).toBe(FAILURES[code].exitCode);
    expect(exitCodeOf({ ...ended, error: { ...error, code: 'Unheard' } })).toBe(1);
  });

  it('of a rollout that nobody has come through is 1, and 3 of one that some have', () => {
    const rollout = { kind: 'deploySchemas', state: 'completed_with_failures', error: null } as const;
    expect(exitCodeOf({ ...rollout, counts: { done: 0, failed: 2 } })).toBe(1);
    expect(exitCodeOf({ ...rollout, counts: { done: 1, failed: 1 } })).toBe(3);
  });

  it('is the same by its result', () => {
    expect(() => endWith('verifyIsolation', true)).not.toThrow();
    expect(() => endWith('verifyIsolation', false)).toThrow(new ExitWith(8));
    expect(() => endWith('ingestVideos', false)).toThrow(new ExitWith(3));
    expect(() => endWith('deploySchemas', false, { done: 0 })).toThrow(new ExitWith(1));
  });
});
