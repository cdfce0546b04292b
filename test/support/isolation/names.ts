import type { ProfileName } from '../../../src/domain/profiles.js';
import { type TenantId, parseTenantId } from '../../../src/domain/ids.js';
import { javaHashCode } from '../../../src/domain/naming.js';

export const FRAME = 'video_colpali_smol500_mv_frame';
/** The base schema that only these tests have. */
export const MV = 'video_colpali_smol500_mv' as unknown as ProfileName;
export const CHUNK = 'video_colqwen_omni_mv_chunk_30s';

/**
 * Tenants whose ids end or begin alike; `corp_an` and `corp_c0` have one Java hash behind any base schema
 * (97·31 + 110 = 99·31 + 48), and `mv` of `frame_acme_corp` is `mv_frame` of `acme_corp`.
 */
export const CASTS = [
  ['frame_acme_corp', 'acme_corp', 'corp'],
  ['corp', 'corp_an', 'corp_c0'],
  ['corp', 'acme_corp', 'corp_eu'],
  ['acme_corp', 'frame_acme_corp', 'corp_c0', 'corp_an'],
] as const;
export type Role = (typeof CASTS)[number][number];

/**
 * The id that plays a role in one sequence: no two sequences share one, none begins another's, and within a sequence
 * ids begin and end alike as the roles do. Digits are too near to each other for two numbers to have one Java hash.
 *
 * @param run number of the sequence in its database
 */
export function tenantOf(role: Role, run: number): TenantId {
  const infix = `s${String(run).padStart(6, '0')}`;
  const [, stem, tail] = /^(.*corp)(_[a-z0-9]{2})?$/.exec(role)!;
  return parseTenantId(`${stem}_${infix}${tail ?? ''}`);
}

/** Whether two schemas cannot be in one Vespa application. */
export function clash(a: string, b: string): boolean {
  return a === b || javaHashCode(a) === javaHashCode(b);
}
