import { z } from 'zod';

/** What a signed file carries beside its statement; see docs/erasure-certificate.md. */
export const signature = z.strictObject({
  algorithm: z.literal('Ed25519'),
  keyId: z.string().regex(/^[0-9a-f]{16}$/),
  /** SPKI DER, 44 bytes, base64. */
  publicKey: z.string().regex(/^[A-Za-z0-9+/]{59}=$/),
  /** 64 bytes, base64. */
  value: z.string().regex(/^[A-Za-z0-9+/]{86}==$/),
});
export type Signature = z.infer<typeof signature>;

/** `2026-11-24T12:00:00.000Z` and no other way to write it. */
export const instant = z
  .string()
  .refine(isInstant, 'not a time such as 2026-11-24T12:00:00.000Z (UTC, three decimals)');
/** 1 to 1,000 UTF-16 units. */
export const statementText = z.string().min(1).max(1000).refine(wellFormed, 'half of a surrogate pair');

export function wellFormed(value: string): boolean {
  return value.isWellFormed();
}

function isInstant(value: string): boolean {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value)) return false;
  const milliseconds = Date.parse(value);
  return !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString() === value;
}
