import { OpsError } from './errors.js';
import { quoteForMessage } from './ids.js';

/** `42:<64 hex digits>`: a row of the audit log and its hash. @throws OpsError `InvalidInput` */
export function parseAuditHead(text: string): { readonly seq: number; readonly hash: string } {
  const [, seq, hash] = /^(0|[1-9][0-9]{0,14}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (seq !== undefined && hash !== undefined) return { seq: Number(seq), hash };
  throw new OpsError(
    'InvalidInput',
    `not a head of the audit log: ${quoteForMessage(text)}`,
    'give SEQ:HASH as audit verify and audit export print it',
  );
}
