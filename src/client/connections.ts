import { existsSync } from 'node:fs';
import { type Client, Connection, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { type Credential, issueCredential, loadCredential, parseCredential } from '../access/credential.js';
import { loadSigningJwk, loadVerifyingKeys, publicOf } from '../access/keys.js';
import { type Denial, denialOf, denied, notOf } from '../access/principal.js';
import { openTemporalClient } from '../access/temporalClient.js';
import { refused } from '../access/tokens.js';
import type { Verb } from '../domain/access.js';
import type { ReferenceRules, ReferenceWriter } from '../domain/config/references.js';
import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { type NamedPlace, parseSourcePlaces } from '../domain/sourcePlaces.js';
import { type OperationStart, operationOptions } from '../operations/start.js';
import { dataConverterOf } from '../payloads/converter.js';
import { isRevoked } from '../registry/access.js';
import { type AuditEntry, appendAudit } from '../registry/audit.js';
import { type Pool, openPool, transaction } from '../registry/database.js';
import { audited } from '../registry/operationLog.js';
import { fileOf } from '../secrets.js';
import type { Settings } from '../settings.js';
import { type Reach, reachOf } from '../sources/reach.js';
import { referenceRulesOf } from '../tenants/referenceRules.js';
import { openTelemetry } from '../telemetry/open.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import { OperationHandle, workflowUrl } from './operations.js';

/** How long the Temporal server may take to answer at all. */
const CONNECT_TIMEOUT = '5s';

/** What the parts of the client share: the registry, and Temporal once somebody needs it. */
export class Connections {
  private opened: Promise<Client> | undefined;
  private tracing: Telemetry | undefined;
  private rules: ReferenceRules | undefined;
  private readonly closers: (() => Promise<void>)[] = [];

  private constructor(
    readonly settings: Settings,
    readonly pool: Pool,
    private readonly credential: Credential,
  ) {}

  /** @throws OpsError `Unavailable` when the registry does not answer, `PermissionDenied` without a token that is in force */
  static async open(settings: Settings): Promise<Connections> {
    return Connections.openWith(settings, await credentialOf(settings));
  }

  /** With the credential there is, else as the signing key's holder. @throws OpsError as {@link open} */
  static async openAsIssuer(settings: Settings): Promise<Connections> {
    const there = fileOf(settings.credential);
    const isGiven = there === undefined || existsSync(there);
    return Connections.openWith(settings, await (isGiven ? credentialOf(settings) : issuerOf(settings)));
  }

  private static async openWith(settings: Settings, credential: Credential): Promise<Connections> {
    const pool = openPool(settings.databaseUrl, { name: 'cvops', max: 5 });
    let revoked: boolean;
    try {
      revoked = await isRevoked(pool, credential.token);
    } catch (error) {
      await pool.end();
      const { host } = new URL(settings.databaseUrl);
      throw new OpsError(
        'Unavailable',
        `cannot reach the registry at ${host}: ${(error as Error).message || 'no answer'}`,
        'start the embedded stack with: cvops up (or set DATABASE_URL)',
      );
    }
    if (revoked) {
      await pool.end();
      throw refused('it was revoked');
    }
    return new Connections(settings, pool, credential);
  }

  async close(): Promise<void> {
    for (const close of this.closers.reverse()) await close();
    await this.tracing?.close();
    await this.pool.end();
  }

  /** The one tenant that the principal has to do with; undefined: all. */
  get principalTenant(): TenantId | undefined {
    return this.credential.tenant;
  }

  /** Who asks, as operations and the audit log name them. */
  get principal(): string {
    return this.credential.subject;
  }

  /** The same, as the input of an operation that finds its tenant by other ids says it. */
  get asker(): { readonly principal: string; readonly principalTenant?: TenantId } {
    const { subject: principal, tenant: principalTenant } = this.credential;
    return { principal, ...(principalTenant === undefined ? {} : { principalTenant }) };
  }

  /**
   * What every method begins with.
   *
   * @param tenants whom the call names; none: what belongs to the installation, or to be narrowed to the principal's own
   * @throws OpsError `PermissionDenied`, with an audit entry, whether there is such a tenant or not
   */
  async authorize(verb: Verb, ...tenants: readonly (TenantId | undefined)[]): Promise<void> {
    const named = tenants.filter((tenant) => tenant !== undefined);
    const denial = denialOf(this.credential, verb, named);
    if (denial === undefined) return;
    const { tenant: own } = this.credential;
    return this.deny(verb, denial, named.find((each) => each !== own) ?? named[0]);
  }

  /**
   * What a method that lists begins with.
   *
   * @returns whose to list; undefined: everybody's. A principal of one tenant sees its own
   * @throws OpsError as {@link authorize}
   */
  async authorizeList(verb: Verb, tenant: TenantId | undefined): Promise<TenantId | undefined> {
    await this.authorize(verb, tenant);
    return tenant ?? this.principalTenant;
  }

  /** Which secrets tenants' configurations may refer to. @throws OpsError `InvalidInput` for places that are none */
  get referenceRules(): ReferenceRules {
    this.rules ??= referenceRulesOf(this.settings);
    return this.rules;
  }

  /** The principal, as who writes such references. */
  get referenceWriter(): ReferenceWriter {
    return { ...this.referenceRules, vouches: this.principalTenant === undefined };
  }

  /** What the principal may have read. @throws OpsError `InvalidInput` for places that are none */
  get reach(): Reach {
    return reachOf(parseSourcePlaces(this.settings.sourcePlaces), this.principalTenant ?? null);
  }

  /**
   * That the principal may name a place; what is there, and who asked, is for the data workers to hold against theirs.
   *
   * @throws OpsError `PermissionDenied`, with an audit entry
   */
  async authorizePlace(verb: Verb, tenant: TenantId, place: NamedPlace): Promise<void> {
    const denial = this.reach.denialOf(place);
    if (denial !== undefined) await this.deny(verb, denial, tenant);
  }

  /** What a call comes to that may find itself denied. @throws OpsError its own, a `PermissionDenied` with an audit entry */
  async orDenied<T>(verb: Verb, tenant: TenantId, call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (error) {
      if (!(error instanceof OpsError) || error.type !== 'PermissionDenied') throw error;
      return await this.deny(verb, { why: error.message, hint: error.hint ?? '' }, tenant);
    }
  }

  /** Of what a principal of one tenant has no part in, as it is another's or not there. @throws OpsError `PermissionDenied` */
  async denyTo(own: TenantId, verb: Verb): Promise<never> {
    return this.deny(verb, notOf(own), undefined);
  }

  private async deny(verb: Verb, denial: Denial, tenant: TenantId | undefined): Promise<never> {
    const { subject: principal, tenant: own, role, token } = this.credential;
    await transaction(this.pool, (tx) =>
      appendAudit(tx, {
        ...{ principal, verb, tenant: tenant ?? '-', outcome: 'denied', reason: denial.why },
        detail: { role, token, ...(own === undefined ? {} : { own }) },
      }),
    );
    throw denied(denial);
  }

  /** Opened at its first use; what it holds is sent when the connections close. */
  get telemetry(): Telemetry {
    this.tracing ??= openTelemetry(this.settings, this.pool);
    return this.tracing;
  }

  onClose(close: () => Promise<void>): void {
    this.closers.push(close);
  }

  /** @throws OpsError `Unavailable` */
  temporal(): Promise<Client> {
    this.opened ??= this.connect();
    return this.opened;
  }

  /** Starts an operation's workflow. @throws OpsError `Conflict` when one with its id runs */
  async start<T>(start: Omit<OperationStart, 'principal'>, input: object): Promise<OperationHandle<T>> {
    const client = await this.temporal();
    const options = operationOptions({ ...start, principal: this.principal }, input);
    try {
      const handle = await client.workflow.start(start.kind, options);
      return new OperationHandle<T>(start.operation, handle, this.uiUrl(start.workflowId));
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) throw underWay(start);
      throw error;
    }
  }

  /** A change that is no operation, with its entries in the audit log; see {@link audited}. */
  audited<T>(
    entry: Omit<AuditEntry, 'outcome' | 'principal'>,
    work: () => Promise<T>,
    outcomeOf?: (result: T) => string,
  ): Promise<T> {
    return audited(this.pool, { ...entry, principal: this.principal }, work, outcomeOf);
  }

  uiUrl(workflowId: string): string {
    return workflowUrl(this.settings.temporalUiUrl, this.settings.temporalNamespace, workflowId);
  }

  private async connect(): Promise<Client> {
    const { temporalAddress: address, temporalNamespace: namespace } = this.settings;
    // Before anything is opened: a bad key is refused at once.
    const dataConverter = await dataConverterOf(this.settings);
    let connection: Connection;
    try {
      connection = await Connection.connect({ address, connectTimeout: CONNECT_TIMEOUT });
    } catch (error) {
      throw new OpsError(
        'Unavailable',
        `cannot reach Temporal at ${address}: ${(error as Error).message}`,
        'start the embedded stack with: cvops up (or set TEMPORAL_ADDRESS)',
      );
    }
    this.onClose(() => connection.close());
    const telemetry = this.settings.traceOperations ? this.telemetry : undefined;
    const { credential } = this;
    return openTemporalClient({ connection, namespace, credential, telemetry, dataConverter });
  }
}

/** @throws OpsError `PermissionDenied`, saying how to come by one */
async function credentialOf({ credential, accessKeys, accessAudience }: Settings): Promise<Credential> {
  const file = fileOf(credential);
  if (file !== undefined && !existsSync(file))
    throw new OpsError(
      'PermissionDenied',
      'there is no token that says who asks',
      'have one issued with: cvops token issue, and set CVOPS_TOKEN; an embedded stack that is up has its own',
    );
  const keys = await loadVerifyingKeys(accessKeys);
  return loadCredential(credential, 'the token', { keys, audience: accessAudience, at: new Date() });
}

/** Who has the signing key could sign any token: here one for as long as a command takes. */
async function issuerOf({ accessSigningKey, accessAudience: audience }: Settings): Promise<Credential> {
  const key = await loadSigningJwk(accessSigningKey);
  const at = new Date();
  const { text } = await issueCredential(key, {
    ...{ subject: `key/${key.kid}`, role: 'admin', tenant: undefined, audience },
    expiresAt: new Date(at.getTime() + 60_000),
  });
  return parseCredential(text, { keys: { keys: [publicOf(key)] }, audience, at });
}

export function underWay({ summary, tenant }: Pick<OperationStart, 'summary' | 'tenant'>): OpsError {
  const list = tenant === null ? 'cvops op list' : `cvops op list --tenant ${tenant}`;
  return new OpsError('Conflict', `${summary}: it is under way already`, `follow it with: ${list}`);
}
