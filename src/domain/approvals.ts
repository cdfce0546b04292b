import type { Verb } from './access.js';
import { OpsError } from './errors.js';
import { quoteForMessage } from './ids.js';
import { DAY_MS, DEFAULT_RETENTION_DAYS } from './retention.js';

/** What a policy can hold back until a second administrator has agreed. */
export const GUARDED = {
  'tenant delete': 'deleting a tenant for good, and ending its retention at once',
  'tenant deactivate': `a retention of fewer than ${DEFAULT_RETENTION_DAYS} days`,
  'tenant extend': 'moving the end of a retention',
  'backup restore': 'restoring over what a tenant holds',
} as const satisfies Partial<Record<Verb, string>>;
export type GuardedVerb = keyof typeof GUARDED;

/** How long a question waits for its answer, and the wish to lift a policy for a second one. */
export const APPROVAL_MS = 3 * DAY_MS;

export const APPROVAL_STATES = ['waiting', 'granted', 'refused', 'withdrawn', 'expired'] as const;
export type ApprovalState = (typeof APPROVAL_STATES)[number];

/** Answer of a step that was held back: it is tried again once somebody has decided, or when the time is over. */
export interface Held {
  /** `expiresAt` in ms since the epoch. */
  readonly held: { readonly operation: string; readonly expiresAt: number };
}

export function isHeld(answer: unknown): answer is Held {
  return typeof answer === 'object' && answer !== null && 'held' in answer;
}

/** @throws OpsError `InvalidInput` */
export function parseGuardedVerb(text: string): GuardedVerb {
  if (Object.hasOwn(GUARDED, text)) return text as GuardedVerb;
  throw new OpsError(
    'InvalidInput',
    `no policy is for ${quoteForMessage(text)}`,
    `one of: ${Object.keys(GUARDED).join(', ')}`,
  );
}
