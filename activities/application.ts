import { activityInfo, heartbeat, log } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { SchemaChangeOutcome, SchemaChangeRequest } from '../src/contracts/tenants.js';
import { SEARCH_ATTRIBUTES } from '../src/domain/searchAttributes.js';
import { TASK_QUEUES, workflowIds } from '../src/domain/naming.js';
import type { Pool } from '../src/registry/database.js';
import { type SchemaRow, markDeployed, markRemoved, schemasOf } from '../src/registry/schemas.js';
import { type PackageRequest, deployRequests } from '../src/vespa/application.js';
import { ConfigServer } from '../src/vespa/configServer.js';
import { waitForConvergence } from '../src/vespa/convergence.js';
import { generateSd } from '../src/vespa/package/sd.js';
import { loadSchema } from '../src/vespa/schemaFiles.js';
import { heartbeating } from './heartbeat.js';
import type { ApplicationActivities } from './types.js';

export interface ApplicationDependencies {
  readonly pool: Pool;
  readonly client: Client;
  readonly vespaUrl: string;
  readonly vespaConfigUrl: string;
}

const CONVERGENCE_TIMEOUT_MS = 300_000;

export function createApplicationActivities({
  pool,
  client,
  vespaUrl,
  vespaConfigUrl,
}: ApplicationDependencies): ApplicationActivities {
  return {
    async requestSchemaChange({ cluster, request }) {
      await client.workflow.signalWithStart('vespaApplication', {
        workflowId: workflowIds.vespaApplication(cluster),
        taskQueue: TASK_QUEUES.control,
        args: [{ version: 1, cluster, waiting: [], deploys: 0, requests: 0, generation: 0 }],
        signal: 'requestSchemaChange',
        signalArgs: [request],
        staticSummary: `the one writer of the Vespa application package of ${cluster}`,
        typedSearchAttributes: [{ key: SEARCH_ATTRIBUTES.operationKind, value: 'vespaApplication' }],
      });
    },

    async deployBatch({ requests }) {
      return heartbeating(async (signal) => {
        const changes = await Promise.all(requests.map((request) => ownedChange(pool, request)));
        const server = new ConfigServer(vespaConfigUrl, signal);
        const result = await deployRequests(
          server,
          changes.map(({ request, put, remove }): PackageRequest => ({
            id: request.id,
            put: put.map(({ schemaName, baseSchema }) => ({
              name: schemaName,
              sd: generateSd(schemaName, loadSchema(baseSchema)),
            })),
            remove: remove.map(({ schemaName }) => schemaName),
          })),
          { onStep: (step) => heartbeat({ step }) },
        );
        log.info('package deployed', {
          generation: result.generation,
          deploys: result.deploys,
          conflicts: result.conflicts,
          attempt: activityInfo().attempt,
        });

        const done = changes.filter(({ request }) =>
          result.outcomes.some(({ id, ok }) => ok && id === request.id),
        );
        const schemas = done.flatMap(({ put }) => put.map(({ schemaName }) => schemaName));
        heartbeat({ step: 'convergence', generation: result.generation });
        await waitForConvergence(
          server,
          vespaUrl,
          { generation: result.generation, schemas },
          { timeoutMs: CONVERGENCE_TIMEOUT_MS, signal },
        );
        // Rows follow the package: a kill before this line finds all there already and writes them then.
        for (const { request } of done) {
          await markDeployed(pool, request.incarnation, request.add, result.generation);
          await markRemoved(pool, request.incarnation, request.remove);
        }
        const outcomes = result.outcomes.map(({ id, ok, error }): SchemaChangeOutcome => ({
          id,
          ok,
          generation: result.generation,
          ...(error === undefined ? {} : { error: { type: 'Rejected', message: error.slice(0, 2000) } }),
        }));
        return { outcomes, generation: result.generation, deploys: result.deploys };
      });
    },
  };
}

/** What a request may touch: rows of its own incarnation, by the registry and nothing else. */
async function ownedChange(
  pool: Pool,
  request: SchemaChangeRequest,
): Promise<{ request: SchemaChangeRequest; put: SchemaRow[]; remove: SchemaRow[] }> {
  const owned = await schemasOf(pool, request.incarnation);
  const rows = (bases: readonly string[]) =>
    owned.filter(({ tenant, baseSchema }) => tenant === request.tenant && bases.includes(baseSchema));
  return { request, put: rows(request.add), remove: rows(request.remove) };
}
