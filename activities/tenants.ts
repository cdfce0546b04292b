import { checkInput } from '../src/contracts/common.js';
import { createTenantInput } from '../src/contracts/tenants.js';
import { OpsError } from '../src/domain/errors.js';
import { phoenixProjectName, workflowIds } from '../src/domain/naming.js';
import { type BaseSchema, MEMORY_SCHEMA } from '../src/domain/profiles.js';
import type { PhoenixClient } from '../src/phoenix/client.js';
import { deleteProject, ensureProject, findProject } from '../src/phoenix/projects.js';
import { deleteRetentionPolicies } from '../src/phoenix/retention.js';
import { type ConfigCoordinates, deleteConfig, getConfig, putConfig } from '../src/registry/config.js';
import { type Pool, transaction } from '../src/registry/database.js';
import { beginOperation, endOperation } from '../src/registry/operationLog.js';
import { releaseReserved, schemasOf } from '../src/registry/schemas.js';
import { findTenant, getLife, insertTenant, setTenantState } from '../src/registry/tenants.js';
import type { TenantMemories } from '../src/memory/tenantMemories.js';
import { claimSchemas } from '../src/tenants/claimSchemas.js';
import { memoryOf } from '../src/tenants/memoryOf.js';
import { proveMemory } from '../src/tenants/proveMemory.js';
import { isQuarantined, requireFreeName } from '../src/tenants/quarantine.js';
import { ROUTING_CONFIG, SYSTEM_CONFIG, TRACE_RETENTION } from '../src/domain/config/keys.js';
import {
  initialRoutingConfig,
  initialSystemConfig,
  initialTraceRetention,
} from '../src/tenants/initialConfig.js';
import { applyTraceRetention } from '../src/tenants/traceRetention.js';
import { DAY_MS, DEFAULT_RETENTION_DAYS } from '../src/domain/retention.js';
import { closeUntilRestored } from '../src/registry/restores.js';
import { requireState } from '../src/domain/states.js';
import { ConfigServer } from '../src/vespa/configServer.js';
import { answersFor } from '../src/vespa/convergence.js';
import { mayPass } from './failures.js';
import type { TenantActivities, TenantKey } from './types.js';

export interface TenantDependencies {
  readonly pool: Pool;
  readonly phoenix: PhoenixClient;
  readonly memories: Pick<TenantMemories, 'open' | 'embedder'>;
  readonly vespaUrl: string;
  readonly vespaConfigUrl: string;
}

export function createTenantActivities({
  pool,
  phoenix,
  memories,
  vespaUrl,
  vespaConfigUrl,
}: TenantDependencies): TenantActivities {
  const life = (key: TenantKey) => getLife(pool, key);

  return {
    async beginCreate(raw) {
      const input = checkInput(createTenantInput, raw);
      const { tenant, incarnation, operation, principal, reason, values } = input;
      await transaction(pool, async (tx) => {
        const there = await findTenant(tx, tenant);
        // This very operation, run before: nothing more to write.
        if (there?.createOperation === operation) return;
        if (there) requireState('create', tenant, there.state, there.purgeAt);
        if (there && input.overrideQuarantine !== true) requireFreeName(there);
        const begun = await insertTenant(tx, {
          tenant,
          incarnation,
          template: input.template,
          phoenixProject: phoenixProjectName(tenant),
          memoryEnabled: values.memory_enabled,
          createOperation: operation,
        });
        if (!begun) return;
        const workflowId = workflowIds.createTenant(tenant);
        await beginOperation(
          tx,
          { operation, kind: 'createTenant', tenant, incarnation, principal, reason, workflowId },
          'create',
          input.overrideQuarantine === true && isQuarantined(there)
            ? { overrodeQuarantine: there?.quarantineUntil }
            : {},
        );
      });
      const bases = new Set<BaseSchema>(input.profiles);
      if (values.memory_enabled) bases.add(MEMORY_SCHEMA);
      return { bases: [...bases], memoryEnabled: values.memory_enabled };
    },

    async writeInitialConfig(input) {
      const { values } = input;
      const write = { author: input.principal, reason: `template ${input.template}` };
      const put = async (at: Omit<ConfigCoordinates, 'incarnation'>, value: object) => {
        const where = { ...at, incarnation: input.incarnation };
        // Version 1 is this step's own; after a kill it may be there already.
        if ((await getConfig(pool, where)) === undefined)
          await putConfig(pool, where, 0, { ...write, value: { ...value } });
      };
      await put(SYSTEM_CONFIG, initialSystemConfig(input.tenant, values, { vespaUrl, vespaConfigUrl }));
      await put(ROUTING_CONFIG, initialRoutingConfig(values));
      await put(TRACE_RETENTION, initialTraceRetention());
    },

    async removeConfig({ incarnation }) {
      await deleteConfig(pool, incarnation);
    },

    async reserveSchemas({ tenant, incarnation, bases }) {
      await claimSchemas(pool, new ConfigServer(vespaConfigUrl), tenant, incarnation, bases);
    },

    async schemasToRemove({ incarnation }) {
      return (await schemasOf(pool, incarnation)).map(({ baseSchema }) => baseSchema);
    },

    async releaseSchemas({ incarnation }) {
      await releaseReserved(pool, incarnation);
    },

    async ensurePhoenixProject(key) {
      const row = await life(key);
      await ensureProject(phoenix, row.phoenixProject, `Traces of tenant ${row.tenant}`);
      await applyTraceRetention(pool, phoenix, row);
    },

    async deletePhoenixProject(key) {
      const { phoenixProject } = await life(key);
      await deleteProject(phoenix, phoenixProject);
      await deleteRetentionPolicies(phoenix, phoenixProject);
    },

    async proveMemory(key) {
      const at = await memoryOf(pool, await life(key));
      await mayPass(proveMemory(at, memories));
    },

    async verifyTenant(key) {
      const row = await life(key);
      const wrong: string[] = [];
      for (const { schemaName, state } of await schemasOf(pool, key.incarnation)) {
        if (state !== 'deployed') wrong.push(`schema ${schemaName} is ${state}`);
        else if (!(await answersFor(vespaUrl, schemaName)))
          wrong.push(`schema ${schemaName} does not answer`);
      }
      for (const at of [SYSTEM_CONFIG, ROUTING_CONFIG]) {
        if (!(await getConfig(pool, { ...at, incarnation: key.incarnation })))
          wrong.push(`configuration ${at.key} is missing`);
      }
      if (!(await findProject(phoenix, row.phoenixProject)))
        wrong.push(`Phoenix project ${row.phoenixProject} is missing`);
      // Retried by Temporal: what is not there yet may come; what never comes fails the creation.
      if (wrong.length > 0) throw new Error(wrong.join('; '));
    },

    async activate({ restore, ...key }) {
      const row = await life(key);
      const state = restore === undefined ? 'active' : 'inactive';
      await transaction(pool, async (tx) => {
        const done =
          restore === undefined
            ? await setTenantState(tx, key.incarnation, ['creating'], state)
            : await closeUntilRestored(tx, key.incarnation, 'creating', restore);
        if (!done)
          throw new OpsError('WrongState', `tenant ${key.tenant} is ${row.state}, no longer being created`);
        await endOperation(tx, key.operation, 'create', { state: 'completed' });
      });
      const schemas = (await schemasOf(pool, key.incarnation)).map(({ schemaName }) => schemaName);
      return {
        tenant: key.tenant,
        incarnation: key.incarnation,
        state,
        schemas,
        phoenixProject: row.phoenixProject,
        operation: key.operation,
      };
    },

    async failCreate({ incarnation, operation, state, failure }) {
      await transaction(pool, async (tx) => {
        await setTenantState(tx, incarnation, ['creating'], 'creation_failed');
        await endOperation(tx, operation, 'create', { state, error: failure }, { ...failure });
      });
    },
  };
}
