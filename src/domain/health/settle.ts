import {
  type CheckResults,
  type Finding,
  type HealthScope,
  type Severity,
  findingsOf,
  fingerprint,
  isAtLeast,
} from './checks.js';

/** An alert that is open. */
export interface OpenAlert {
  readonly fingerprint: string;
  readonly check: string;
  readonly severity: Severity;
}

export interface FoundAlert extends Finding {
  readonly fingerprint: string;
  readonly check: string;
}

/** What a look at one scope means for its alerts. */
export interface Settlement {
  /** New. */
  readonly open: readonly FoundAlert[];
  /** Open already; `raised` when it has become worse. */
  readonly seen: readonly (FoundAlert & { readonly raised: boolean })[];
  /** Fingerprints of what is cured. */
  readonly resolve: readonly string[];
}

/**
 * Compares what is open of a scope with what a look at it found. Only a check that was made cures anything: what could not
 * be looked at stays as it was. A check that no longer applies has nothing wrong.
 */
export function settle(
  scope: HealthScope,
  open: readonly OpenAlert[],
  results: CheckResults<string>,
): Settlement {
  const found = new Map<string, FoundAlert>();
  for (const [check, result] of Object.entries(results))
    for (const finding of findingsOf(result)) {
      const key = fingerprint(scope, check, finding.subject);
      found.set(key, { ...finding, check, fingerprint: key });
    }
  const known = new Map(open.map((alert) => [alert.fingerprint, alert]));
  const decided = ({ check }: OpenAlert) => {
    const state = results[check]?.state;
    return state === 'checked' || state === 'skipped';
  };
  return {
    open: [...found.values()].filter(({ fingerprint: key }) => !known.has(key)),
    seen: [...found.values()].flatMap((alert) => {
      const before = known.get(alert.fingerprint);
      if (before === undefined) return [];
      const raised = before.severity !== alert.severity && isAtLeast(alert.severity, before.severity);
      return [{ ...alert, raised }];
    }),
    resolve: open
      .filter((alert) => decided(alert) && !found.has(alert.fingerprint))
      .map((a) => a.fingerprint),
  };
}
