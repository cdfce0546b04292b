import { FAILURES_MS, type Finding } from '../../domain/health/checks.js';
import type { FailureType } from '../../domain/errors.js';
import { isOpen } from '../../operations/stop.js';
import { type LastOutcome, lastOutcomes } from '../../registry/operations.js';
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
    const client = await temporal();
    const stalled = await Promise.all(
      running.map(async ({ operation, kind, workflowId }): Promise<Finding[]> => {
        if (await isOpen(client, workflowId)) return [];
        const message = `operation ${operation} (${kind}) says that it runs, and its workflow has ended`;
        return [{ subject: operation, severity: 'warning', message, fix: `cvops op show ${operation}` }];
      }),
    );
    return [...failed, ...stalled.flat()];
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
