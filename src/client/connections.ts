import { Client, Connection, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseTenantId } from '../domain/ids.js';
import { type OperationStart, operationOptions } from '../operations/start.js';
import { dataConverterOf } from '../payloads/converter.js';
import type { AuditEntry } from '../registry/audit.js';
import { type Pool, openPool } from '../registry/database.js';
import { audited } from '../registry/operationLog.js';
import type { Settings } from '../settings.js';
import { openTelemetry } from '../telemetry/open.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import { clientInterceptors } from '../telemetry/temporal.js';
import { OperationHandle, workflowUrl } from './operations.js';

/** How long the Temporal server may take to answer at all. */
const CONNECT_TIMEOUT = '5s';

/** What the parts of the client share: the registry, and Temporal once somebody needs it. */
export class Connections {
  private opened: Promise<Client> | undefined;
  private tracing: Telemetry | undefined;
  private readonly closers: (() => Promise<void>)[] = [];

  private constructor(
    readonly settings: Settings,
    readonly pool: Pool,
  ) {}

  /** @throws OpsError `Unavailable` when the registry does not answer */
  static async open(settings: Settings): Promise<Connections> {
    const pool = openPool(settings.databaseUrl, { name: 'cvops', max: 5 });
    try {
      await pool.query('select 1');
    } catch (error) {
      await pool.end();
      const { host } = new URL(settings.databaseUrl);
      throw new OpsError(
        'Unavailable',
        `cannot reach the registry at ${host}: ${(error as Error).message || 'no answer'}`,
        'start the embedded stack with: cvops up (or set DATABASE_URL)',
      );
    }
    return new Connections(settings, pool);
  }

  async close(): Promise<void> {
    for (const close of this.closers.reverse()) await close();
    await this.tracing?.close();
    await this.pool.end();
  }

  /** The one tenant that the principal has to do with; undefined: all. @throws OpsError `InvalidInput` for a bad setting */
  get principalTenant(): TenantId | undefined {
    const { principalTenant } = this.settings;
    return principalTenant === '' ? undefined : parseTenantId(principalTenant);
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
    const options = operationOptions({ ...start, principal: this.settings.principal }, input);
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
    return audited(this.pool, { ...entry, principal: this.settings.principal }, work, outcomeOf);
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
    const { traceOperations } = this.settings;
    return new Client({
      connection,
      namespace,
      ...(dataConverter ? { dataConverter } : {}),
      ...(traceOperations ? { interceptors: { workflow: clientInterceptors(this.telemetry) } } : {}),
    });
  }
}

export function underWay({ summary, tenant }: Pick<OperationStart, 'summary' | 'tenant'>): OpsError {
  const list = tenant === null ? 'cvops op list' : `cvops op list --tenant ${tenant}`;
  return new OpsError('Conflict', `${summary}: it is under way already`, `follow it with: ${list}`);
}
