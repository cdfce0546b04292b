import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { checkInput } from '../contracts/common.js';
import { type CheckHealthInput, checkHealthInput } from '../contracts/health.js';
import { OpsError } from '../domain/errors.js';
import { type Finding, type Repair, type TenantCheck, findingsOf } from '../domain/health/checks.js';
import type { TenantId } from '../domain/ids.js';
import { TASK_QUEUES, workflowIds } from '../domain/naming.js';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';
import { repair } from '../health/repair.js';
import type { HealthResources } from '../health/resources.js';
import { type TenantLooked, sweepInstallation, sweepTenant, sweepTenants } from '../health/sweep.js';
import { isPolled } from '../operations/runs.js';
import { askForDelivery } from '../operations/start.js';
import { PhoenixClient } from '../phoenix/client.js';
import { everyTenant, getTenant } from '../registry/tenants.js';
import { ownHosts } from '../settings.js';
import { openDocuments } from '../vespa/access.js';
import { ConfigServer } from '../vespa/configServer.js';
import type { Connections } from './connections.js';
import { toOpsError } from './failures.js';
import { type HealthAnswer, healthAnswer } from './healthAnswer.js';
import { SchemaClient } from './schemas.js';

export type { HealthAnswer, TenantHealth } from './healthAnswer.js';

export interface DiagnosisLine extends Finding {
  readonly check: TenantCheck;
}

/** A repair that was tried. */
export interface Repaired {
  readonly repair: Repair;
  readonly done: boolean;
  /** Why not. */
  readonly why?: string;
}

export interface Diagnosis extends HealthAnswer {
  /** All that is wrong, with the command that mends each. */
  readonly findings: readonly DiagnosisLine[];
  /** What was tried before this was found. */
  readonly repaired: readonly Repaired[];
}

/** A workflow that no worker has taken up after this long is not waited for. */
const TAKEN_UP_MS = 20_000;
/** Events of a run that nobody has begun to work on. */
const UNTOUCHED = 2;

/** How the installation and its tenants are, what is wrong with one, and what mends it. */
export class HealthClient {
  private opened: Promise<HealthResources> | undefined;

  constructor(private readonly connections: Connections) {}

  /**
   * Looks now, by a workflow; where Temporal or its workers are away, from here.
   *
   * @param tenant undefined: all, and the installation
   * @throws OpsError `NotFound`, `PermissionDenied`
   */
  async check(tenant: TenantId | undefined): Promise<HealthAnswer> {
    const { pool } = this.connections;
    if (tenant === undefined) await this.connections.authorize('health --all');
    else await this.connections.authorize('health', tenant);
    if (tenant !== undefined) {
      await getTenant(pool, tenant);
      await this.lookNow(tenant);
      return healthAnswer(pool, [await getTenant(pool, tenant)], false);
    }
    const before = new Set((await everyTenant(pool)).map(({ incarnation }) => incarnation));
    await this.lookNow(undefined);
    // What came meanwhile may have been passed already, and what is purged is not looked at.
    const rows = await everyTenant(pool);
    const looked = rows.filter((row) => before.has(row.incarnation) && row.state !== 'purged');
    return healthAnswer(pool, looked, true);
  }

  /** Looks at one tenant from here, and says what mends what is wrong. @throws OpsError `NotFound`, `PermissionDenied` */
  async diagnose(tenant: TenantId): Promise<Diagnosis> {
    await this.connections.authorize('diagnose', tenant);
    return this.explained(await this.look(tenant), []);
  }

  /** What `repair` would do about what is found now. @throws OpsError as that */
  async planRepair(tenant: TenantId): Promise<Diagnosis & { readonly repairs: readonly Repair[] }> {
    await this.connections.authorize('diagnose --repair', tenant);
    const found = await this.diagnose(tenant);
    return { ...found, repairs: repairsOf(found.findings) };
  }

  /** Does what is safe about what is wrong, one after the other, and looks again. @throws OpsError as `diagnose` */
  async repair(tenant: TenantId, reason: string): Promise<Diagnosis> {
    await this.connections.authorize('diagnose --repair', tenant);
    const { settings, principal } = this.connections;
    const { row, results } = await this.look(tenant);
    const repairs = repairsOf(linesOf({ results }));
    const resources = await this.resources();
    const options = {
      ...{ resources, addresses: settings, cluster: settings.vespaCluster },
      ...{ principal, reason: reason || 'diagnose --repair' },
    };
    const repaired: Repaired[] = [];
    for (const what of repairs)
      try {
        if (what === 'deploy-schemas') await this.deploy(tenant, options.reason);
        else await repair(what, row, options);
        repaired.push({ repair: what, done: true });
      } catch (error) {
        const known = toOpsError(error);
        const why = known instanceof Error ? known.message : String(known);
        repaired.push({ repair: what, done: false, why });
      }
    return this.explained(await this.look(tenant), repaired);
  }

  private async look(tenant: TenantId): Promise<TenantLooked> {
    const looked = await sweepTenant(await this.resources(), tenant);
    // The next scheduled look tells of it if this cannot.
    if (looked.opened + looked.resolved > 0)
      await this.connections
        .temporal()
        .then(askForDelivery)
        .catch(() => undefined);
    return looked;
  }

  private async explained(looked: TenantLooked, repaired: readonly Repaired[]): Promise<Diagnosis> {
    const answer = await healthAnswer(this.connections.pool, [looked.row], false);
    return { ...answer, findings: linesOf(looked), repaired };
  }

  private async deploy(tenant: TenantId, reason: string): Promise<void> {
    if (!(await isPolled(await this.connections.temporal(), 'control')))
      throw new OpsError('Unavailable', 'no control worker is there to do it', 'see it with: cvops status');
    const schemas = new SchemaClient(this.connections);
    const handle = await schemas.deploy({ tenants: [tenant], bases: null, maxFailures: 0, reason });
    await handle.result();
    const [failure] = await schemas.failures(handle.operation);
    if (failure !== undefined) throw new OpsError('PartlyDone', failure.reason);
  }

  private async lookNow(tenant: TenantId | undefined): Promise<void> {
    if (!(await this.byWorkflow(tenant))) await this.fromHere(tenant);
  }

  /** @returns false when nobody is there to run it */
  private async byWorkflow(tenant: TenantId | undefined): Promise<boolean> {
    const client = await this.connections.temporal().catch(() => undefined);
    if (client === undefined || !(await isPolled(client, 'control').catch(() => false))) return false;
    const handle = await start(client, checkInput(checkHealthInput, { tenant: tenant ?? null }));
    const done = new AbortController();
    const untouched = async (): Promise<boolean> => {
      await delay(TAKEN_UP_MS, undefined, { signal: done.signal });
      return (await handle.describe()).historyLength <= UNTOUCHED;
    };
    const result = handle.result();
    try {
      if (await Promise.race([result.then(() => false), untouched()])) {
        await handle.terminate('no worker took it up');
        return false;
      }
      await result;
      return true;
    } catch (error) {
      throw toOpsError(error);
    } finally {
      done.abort();
      // Of one that was terminated.
      void result.catch(() => undefined);
    }
  }

  private async fromHere(tenant: TenantId | undefined): Promise<void> {
    const resources = await this.resources();
    await sweepInstallation(resources);
    if (tenant !== undefined) return void (await sweepTenant(resources, tenant));
    for (let after: string | null = ''; after !== null;) after = (await sweepTenants(resources, after)).next;
  }

  private resources(): Promise<HealthResources> {
    this.opened ??= this.open();
    return this.opened;
  }

  private async open(): Promise<HealthResources> {
    const { pool, settings, referenceRules: rules } = this.connections;
    const documents = await openDocuments(settings);
    this.connections.onClose(() => documents.close());
    return {
      ...{ pool, documents, vespaUrl: settings.vespaUrl, allowedPrivate: ownHosts(settings), rules },
      temporal: () => this.connections.temporal(),
      phoenix: new PhoenixClient(settings.phoenixUrl),
      configServer: new ConfigServer(settings.vespaConfigUrl),
    };
  }
}

function start(client: Client, input: CheckHealthInput) {
  const whom = input.tenant === null ? 'all tenants' : input.tenant;
  return client.workflow.start('checkHealth', {
    workflowId: workflowIds.health(randomUUID()),
    taskQueue: TASK_QUEUES.control,
    args: [input],
    staticSummary: `health of ${whom}`,
    priority: { priorityKey: 1 },
    typedSearchAttributes: [
      ...(input.tenant === null ? [] : [{ key: SEARCH_ATTRIBUTES.tenantId, value: input.tenant }]),
      { key: SEARCH_ATTRIBUTES.operationKind, value: 'checkHealth' },
    ],
  });
}

function linesOf({ results }: Pick<TenantLooked, 'results'>): DiagnosisLine[] {
  return Object.entries(results).flatMap(([check, result]) =>
    findingsOf(result).map((finding) => ({ check: check as TenantCheck, ...finding })),
  );
}

/** Each once. What configuration says comes first: others read it. */
export function repairsOf(lines: readonly Finding[]): Repair[] {
  const order: readonly Repair[] = [
    ...(['end-operations', 'write-config', 'deploy-schemas', 'make-project', 'start-retention'] as const),
  ];
  return order.filter((what) => lines.some(({ repair: possible }) => possible === what));
}
