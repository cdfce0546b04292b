import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Client, Connection } from '@temporalio/client';
import { issueCredential, loadCredential } from '../../src/access/credential.js';
import { loadSigningJwk, loadVerifyingKeys } from '../../src/access/keys.js';
import { openTemporalClient } from '../../src/access/temporalClient.js';
import type { Role } from '../../src/domain/access.js';
import type { TenantId } from '../../src/domain/ids.js';
import { ACCESS_FILES, type Settings } from '../../src/settings.js';

/** The administrator that tests are when they say nothing else. */
export function testsToken(home: string): string {
  return path.join(home, 'keys', 'tests.token');
}

export async function writeTestsToken(home: string): Promise<void> {
  const text = await tokenOf(home, { role: 'admin', subject: 'tests' });
  await writeFile(testsToken(home), text, { mode: 0o600 });
}

export interface Bearer {
  readonly role: Role;
  readonly tenant?: TenantId;
  readonly subject?: string;
  readonly expiresAt?: Date;
}

/** A token for `CVOPS_TOKEN`, signed by the key of a stack. */
export async function tokenOf(home: string, bearer: Bearer): Promise<string> {
  const key = await loadSigningJwk(`file:${path.join(home, 'keys', ACCESS_FILES.signingKey)}`);
  const { role, tenant, subject = 'tests', expiresAt = new Date(Date.now() + 3_600_000) } = bearer;
  return (await issueCredential(key, { subject, role, tenant, audience: 'cvops', expiresAt })).text;
}

/** The same in a file, and the setting that names it. */
export async function credentialOf(home: string, bearer: Bearer): Promise<{ readonly credential: string }> {
  const file = path.join(home, 'keys', `${randomUUID()}.token`);
  await writeFile(file, await tokenOf(home, bearer), { mode: 0o600 });
  return { credential: `file:${file}` };
}

/** A Temporal client as the product's: what it starts carries the credential of these settings. */
export async function temporalAs(settings: Settings): Promise<Client> {
  const { temporalAddress: address, temporalNamespace: namespace, accessAudience: audience } = settings;
  const keys = await loadVerifyingKeys(settings.accessKeys);
  const credential = await loadCredential(settings.credential, 'the token', {
    keys,
    audience,
    at: new Date(),
  });
  const connection = await Connection.connect({ address });
  return openTemporalClient({
    connection,
    namespace,
    credential,
    telemetry: undefined,
    dataConverter: undefined,
  });
}
