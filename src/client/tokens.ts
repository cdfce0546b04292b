import { issueCredential } from '../access/credential.js';
import { addPublicKey, keysBesideNew, replaceSigningKey } from '../access/keyFiles.js';
import { loadSigningJwk, newSigningJwk } from '../access/keys.js';
import { OpsError } from '../domain/errors.js';
import type { Role } from '../domain/access.js';
import type { TenantId } from '../domain/ids.js';
import { type TokenRow, listTokens, noteToken, revokeToken } from '../registry/access.js';
import { type AuditEntry, appendAudit } from '../registry/audit.js';
import { type Queryable, rehearsed, transaction } from '../registry/database.js';
import { fileOf } from '../secrets.js';
import type { Connections } from './connections.js';

export interface TokenRequest {
  readonly role: Role;
  readonly tenant: TenantId | undefined;
  readonly subject: string;
  readonly lifeSeconds: number;
  readonly reason: string;
}

/** The one time that a token is seen. */
export interface IssuedToken {
  readonly token: string;
  readonly id: string;
  readonly subject: string;
  readonly role: Role;
  readonly tenant: TenantId | null;
  /** ISO 8601. */
  readonly expiresAt: string;
}

/** Tokens: who may ask for what. */
export class TokenClient {
  constructor(private readonly connections: Connections) {}

  /** What `issue` would issue: it is signed, and thrown away. @throws OpsError as that */
  async plan(request: TokenRequest): Promise<Omit<IssuedToken, 'token' | 'id'>> {
    const { row } = await this.sign(request);
    const { subject, role, tenant, expiresAt } = row;
    return { subject, role, tenant, expiresAt: expiresAt.toISOString() };
  }

  /** @throws OpsError `InvalidInput` for a role that does not go with the tenant, or without the signing key */
  async issue(request: TokenRequest): Promise<IssuedToken> {
    const { text: token, row } = await this.sign(request);
    const { id, subject, role, tenant, expiresAt } = row;
    // Noted before it is shown: one that nobody knows of could not be revoked.
    await transaction(this.connections.pool, async (tx) => {
      await noteToken(tx, row);
      const { tenant: about, ...detail } = row;
      await this.audit(tx, { verb: 'token-issue', tenant: about ?? '-', reason: request.reason, detail });
    });
    return { token, id, subject, role, tenant, expiresAt: expiresAt.toISOString() };
  }

  private async sign({ role, tenant, subject, lifeSeconds }: TokenRequest) {
    await this.connections.authorize('token issue', tenant);
    const { settings, principal } = this.connections;
    const key = await loadSigningJwk(settings.accessSigningKey);
    const expiresAt = new Date(Date.now() + lifeSeconds * 1000);
    const audience = settings.accessAudience;
    const { text, id, issuedAt } = await issueCredential(key, { subject, role, tenant, audience, expiresAt });
    const row = { id, subject, role, tenant: tenant ?? null, issuedBy: principal, issuedAt, expiresAt };
    return { text, row };
  }

  /** Newest first, without the tokens themselves. */
  async list(): Promise<TokenRow[]> {
    await this.connections.authorize('token list');
    return listTokens(this.connections.pool);
  }

  /**
   * For good: within ten seconds no worker takes it any more. A dry run says which it would be.
   *
   * @throws OpsError `NotFound`
   */
  async revoke(id: string, reason: string, dryRun = false): Promise<TokenRow> {
    await this.connections.authorize('token revoke');
    return (dryRun ? rehearsed : transaction)(this.connections.pool, async (tx) => {
      const row = await revokeToken(tx, id, this.connections.principal);
      if (row === undefined)
        throw new OpsError(
          'NotFound',
          `no token ${JSON.stringify(id.slice(0, 60))} was issued here`,
          'see them with: cvops token list',
        );
      const { tenant, subject } = row;
      await this.audit(tx, { verb: 'token-revoke', tenant: tenant ?? '-', reason, detail: { id, subject } });
      return row;
    });
  }

  /**
   * Makes a key that signs from now on. Its public half is believed beside the former ones first, so that nothing is
   * refused meanwhile; a former one is taken out of the file by hand when what it signed has expired.
   *
   * @throws OpsError `InvalidInput` when the keys are not in files, `WrongState` when as many are believed as can be
   */
  async rotateKey(reason: string): Promise<{ readonly kid: string; readonly keys: readonly string[] }> {
    const { keysFile, keyFile } = await this.keyFiles();
    const key = newSigningJwk();
    const keys = await addPublicKey(keysFile, key);
    await replaceSigningKey(keyFile, key);
    const detail = { kid: key.kid };
    await transaction(this.connections.pool, (tx) =>
      this.audit(tx, { verb: 'token-rotate-key', tenant: '-', reason, detail }),
    );
    return { kid: key.kid, keys };
  }

  /** Which keys would be believed beside the new one. @throws OpsError as {@link rotateKey} */
  async planRotation(): Promise<{ readonly keys: readonly string[] }> {
    const { keysFile } = await this.keyFiles();
    return { keys: (await keysBesideNew(keysFile)).map(({ kid }) => kid) };
  }

  private async keyFiles(): Promise<{ readonly keysFile: string; readonly keyFile: string }> {
    await this.connections.authorize('token rotate-key');
    const { settings } = this.connections;
    const [keysFile, keyFile] = [fileOf(settings.accessKeys), fileOf(settings.accessSigningKey)];
    if (keysFile === undefined || keyFile === undefined)
      throw new OpsError(
        'InvalidInput',
        'the access keys are not in files',
        'set CVOPS_ACCESS_KEYS and CVOPS_ACCESS_SIGNING_KEY to file:PATH, or rotate them where they are kept',
      );
    return { keysFile, keyFile };
  }

  private audit(
    tx: Queryable,
    entry: Pick<AuditEntry, 'verb' | 'tenant' | 'reason'> & {
      readonly detail: object;
    },
  ): Promise<void> {
    const { principal } = this.connections;
    const detail = { ...entry.detail };
    return appendAudit(tx, { ...entry, detail, principal, outcome: 'completed' });
  }
}
