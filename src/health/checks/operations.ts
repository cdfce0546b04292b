import { FAILURES_MS, type Finding } from '../../domain/health/checks.js';
import type { FailureType } from '../../domain/errors.js';
import { isAwaited } from '../../operations/lost.js';
import { type LastOutcome, lastOutcomes } from '../../registry/operations.js';
import { lostFinding, lostOf } from '../lost.js';
import type { Check } from './check.js';

/** Refused for what was asked: whoever asked has seen it, and nothing is broken. */
const ASKERS: ReadonlySet<string> = new Set<FailureType>([
  'InvalidInput',
  'NotFound',
  'WrongState',
  'Conflict',
  'PermissionDenied',
  'QuotaExceeded',
]);

/** No operation has failed of late without one of its kind succeeding after it, and what says that it runs does. */
export const operationsCheck: Check = {
  name: 'operations',
  needs: ['temporal'],
  skip: ({ state }) => (state === 'purged' ? 'the tenant is purged' : undefined),
  settledOnly: false,
  async run({ resources, row, running, now, temporal }) {
    const since = new Date(now - FAILURES_MS);
    const failed = (await lastOutcomes(resources.pool, row.incarnation, since)).flatMap(failure);
    // What its state waits for is the lifecycle's to tell.
    const own = running.filter((operation) => !isAwaited(operation, row.state));
    return [...failed, ...lostFinding(await lostOf(await temporal(), own), row.tenant, now)];
  },
};

function failure({ operation, kind, state, error, failures }: LastOutcome): Finding[] {
  const fix = `cvops op show ${operation}`;
  if (state === 'completed_with_failures')
    return [{ subject: kind, severity: 'info', message: `the last ${kind} was done but in part`, fix }];
  if (state !== 'failed') return [];
  const code = error?.code ?? 'Unavailable';
  const severity = code === 'VerificationFailed' ? 'critical' : ASKERS.has(code) ? 'info' : 'warning';
  const before = failures > 1 ? `, one of ${failures} in the last day` : '';
  const message = `the last ${kind} failed (${code}${before}): ${error?.message ?? 'no reason noted'}`;
  return [{ subject: kind, severity, message: message.slice(0, 1000), fix }];
}
