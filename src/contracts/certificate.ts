import { z } from 'zod';
import { incarnation, operationId, principal, reason, tenantId } from './common.js';
import { instant, signature, statementText as text, wellFormed } from './signature.js';

export const CERTIFICATE_FORMAT = 'cogniverse-ops/erasure-certificate';

/** What a tenant's data lies in. A certificate says nothing of a store it does not list. */
export const CERTIFICATE_STORES = [
  'documents',
  'schemas',
  'memory',
  'traces',
  'schedules',
  'ledger',
  'configuration',
] as const;

const count = z.int().min(0);
const store = z.enum(CERTIFICATE_STORES);

const counted = z.strictObject({ store, name: text, count });

const erasedStore = z
  .strictObject({
    store,
    /** Within the store: a physical schema, a Phoenix project. */
    name: text,
    /** How it was emptied, in words. */
    method: text,
    /** Items before the deletion, and at the two read-backs after it. */
    before: count,
    after: count,
    afterDelay: count,
    deletedAt: instant,
    readBackAt: instant,
    secondReadBackAt: instant,
  })
  .superRefine((entry, context) => {
    const refuse = (key: keyof typeof entry, problem: string) =>
      context.addIssue({ code: 'custom', path: [key], message: `${entry.store} ${entry.name}: ${problem}` });
    if (entry.after !== 0) refuse('after', `${entry.after} left at the first read-back`);
    if (entry.afterDelay !== 0) refuse('afterDelay', `${entry.afterDelay} left at the second read-back`);
    if (entry.readBackAt < entry.deletedAt) refuse('readBackAt', 'read back before it was deleted');
    if (entry.secondReadBackAt <= entry.readBackAt)
      refuse('secondReadBackAt', 'the second read-back is not later than the first');
  });

const body = z.strictObject({
  format: z.literal(CERTIFICATE_FORMAT),
  version: z.literal(1),
  tenant: tenantId,
  incarnation,
  operation: operationId,
  /** `expiry`: the retention ended; `purgeNow`: it was cut short; `requested`: a hard delete. */
  trigger: z.enum(['requested', 'expiry', 'purgeNow']),
  requestedBy: principal.refine(wellFormed, 'half of a surrogate pair'),
  reason: reason.refine(wellFormed, 'half of a surrogate pair'),
  startedAt: instant,
  issuedAt: instant,
  stores: z.array(erasedStore).min(1),
  residuals: z.array(counted).max(0, 'something is left: there is no certificate of that'),
  /** What is kept on purpose, and until when; null: without end. */
  retained: z.array(z.strictObject({ what: text, why: text, until: instant.nullable() })),
  backups: z.array(
    z.strictObject({
      backup: text,
      fate: z.enum(['deleted', 'retained']),
      why: text,
      until: instant.nullable(),
    }),
  ),
  /** The dry run before the purge; `matches`: see {@link rehearsalMatches}. */
  rehearsal: z.strictObject({ at: instant, stores: z.array(counted), matches: z.boolean() }).nullable(),
  /** The audit log's last row when the certificate was issued. */
  audit: z.strictObject({ seq: count, head: z.string().regex(/^[0-9a-f]{64}$/, 'not a SHA-256') }),
});

/** What an erasure certificate says. A body that contradicts itself, or leaves something unproven, is refused. */
export const certificateBody = body.superRefine((certificate, context) => {
  const refuse = (path: (string | number)[], message: string) =>
    context.addIssue({ code: 'custom', path, message });
  const { stores, startedAt, issuedAt, rehearsal } = certificate;
  stores.forEach((entry, i) => {
    const which = `${entry.store} ${entry.name}`;
    if (entry.deletedAt < startedAt) refuse(['stores', i, 'deletedAt'], `${which}: deleted before the start`);
    if (entry.secondReadBackAt > issuedAt)
      refuse(['stores', i, 'secondReadBackAt'], `${which}: read back after the issue`);
  });
  if (hasTwice(stores)) refuse(['stores'], 'one is named twice');
  if (rehearsal === null) return;
  if (hasTwice(rehearsal.stores)) refuse(['rehearsal', 'stores'], 'one is named twice');
  if (rehearsal.matches !== rehearsalMatches(stores, rehearsal.stores))
    refuse(['rehearsal', 'matches'], 'it is not what the counts say');
});
export type CertificateBody = z.infer<typeof certificateBody>;
export type ErasedStore = CertificateBody['stores'][number];
export type StoreCount = z.infer<typeof counted>;

/** The file, which is this and nothing else, as canonical JSON. */
export const certificateFile = z.strictObject({
  certificate: certificateBody,
  signature,
});
export type CertificateFile = z.infer<typeof certificateFile>;

/** Whether the rehearsal counted exactly what was there before the deletion; what only one of them names counts 0. */
export function rehearsalMatches(
  erased: readonly Pick<ErasedStore, 'store' | 'name' | 'before'>[],
  rehearsed: readonly StoreCount[],
): boolean {
  const before = new Map(erased.map((entry) => [keyOf(entry), entry.before]));
  const counts = new Map(rehearsed.map((entry) => [keyOf(entry), entry.count]));
  return [...new Set([...before.keys(), ...counts.keys()])].every(
    (key) => (before.get(key) ?? 0) === (counts.get(key) ?? 0),
  );
}

function hasTwice(entries: readonly Pick<StoreCount, 'store' | 'name'>[]): boolean {
  return new Set(entries.map(keyOf)).size < entries.length;
}

function keyOf(entry: Pick<StoreCount, 'store' | 'name'>): string {
  return `${entry.store}/${entry.name}`;
}
