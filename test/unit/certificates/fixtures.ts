import { generateKeyPairSync } from 'node:crypto';
import { expect } from 'vitest';
import { type CertificateBody, certificateBody } from '../../../src/contracts/certificate.js';

export const { privateKey, publicKey } = generateKeyPairSync('ed25519');
export const stranger = generateKeyPairSync('ed25519');

const erased = { deletedAt: '2026-11-24T12:00:01.000Z', readBackAt: '2026-11-24T12:00:02.500Z' };
const times = { ...erased, secondReadBackAt: '2026-11-24T12:01:02.500Z' };

/** With the characters that editors and JSON writers like to change: non-ASCII, quotes, escapes, DEL, astral. */
export const BODY: CertificateBody = accepted({
  format: 'cogniverse-ops/erasure-certificate',
  version: 1,
  tenant: 'acme_corp',
  incarnation: '0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b',
  operation: '0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2c',
  trigger: 'requested',
  requestedBy: 'zoë@example.com',
  reason: 'contract "A\\B" ended\n§ 17 \u007f 😀 <script>',
  startedAt: '2026-11-24T12:00:00.000Z',
  issuedAt: '2026-11-24T12:02:00.000Z',
  stores: [
    store('documents', 'video_colpali_smol500_mv_frame_acme_corp', 'visit with remove', 1234),
    store('schemas', 'video_colpali_smol500_mv_frame_acme_corp', 'removed from the package', 1),
    store('traces', 'acme_corp_project', 'project deleted after draining', 10),
  ],
  residuals: [],
  retained: [
    { what: 'audit rows', why: 'accountability', until: null },
    { what: 'Temporal histories', why: 'namespace retention', until: '2026-12-24T00:00:00.000Z' },
  ],
  backups: [{ backup: 'acme_corp-20261124', fate: 'deleted', why: 'policy', until: null }],
  rehearsal: {
    at: '2026-11-24T11:00:00.000Z',
    stores: [
      { store: 'documents', name: 'video_colpali_smol500_mv_frame_acme_corp', count: 1234 },
      { store: 'schemas', name: 'video_colpali_smol500_mv_frame_acme_corp', count: 1 },
      { store: 'traces', name: 'acme_corp_project', count: 10 },
    ],
    matches: true,
  },
  audit: { seq: 42, head: 'ab'.repeat(32) },
});

export function store(kind: string, name: string, method: string, before: number) {
  return { store: kind, name, method, before, after: 0, afterDelay: 0, ...times };
}

export function accepted(body: unknown): CertificateBody {
  const parsed = certificateBody.safeParse(body);
  expect(parsed.error?.issues).toBeUndefined();
  return parsed.data!;
}

/** The body with other values at some paths (`stores.0.after`), whatever the contract says of them. */
export function changed(changes: Record<string, unknown>): CertificateBody {
  const body = structuredClone(BODY);
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.split('.');
    const last = keys.pop()!;
    let at = body as unknown as Record<string, unknown>;
    for (const key of keys) at = at[key] as Record<string, unknown>;
    at[last] = value;
  }
  return body;
}
