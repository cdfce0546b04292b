import { activityInfo, heartbeat, log } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { SchemaChangeOutcome, SchemaChangeRequest } from '../src/contracts/tenants.js';
import type { Pool } from '../src/registry/database.js';
import {
  type SchemaRow,
  markDeployed,
  markRemoved,
  registeredNames,
  schemasOf,
} from '../src/registry/schemas.js';
import { type PackageRequest, deployRequests, sdFile } from '../src/vespa/application.js';
import { readPackage } from '../src/vespa/activePackage.js';
import { applicationStart } from '../src/operations/start.js';
import { ConfigServer } from '../src/vespa/configServer.js';
import { waitForConvergence } from '../src/vespa/convergence.js';
import { generateSd } from '../src/vespa/package/sd.js';
import { loadSchema } from '../src/vespa/schemaFiles.js';
import { digestOf } from '../src/access/proofs.js';
import { noteSchemaRequest, takeSchemaRequests } from '../src/registry/access.js';
import { heartbeating } from './heartbeat.js';
import type { ApplicationActivities } from './types.js';

export interface ApplicationDependencies {
  readonly pool: Pool;
  readonly client: Client;
  readonly vespaUrl: string;
  readonly vespaConfigUrl: string;
}

const CONVERGENCE_TIMEOUT_MS = 300_000;
/** Bounds an answer of 100 outcomes to below 64 KiB. */
const MAX_REASON = 500;

export function createApplicationActivities({
  pool,
  client,
  vespaUrl,
  vespaConfigUrl,
}: ApplicationDependencies): ApplicationActivities {
  return {
    async requestSchemaChange({ cluster, request }) {
      await sendSchemaChange(pool, client, cluster, request);
    },

    async deployBatch({ requests }) {
      return heartbeating(async (signal) => {
        const server = new ConfigServer(vespaConfigUrl, signal);
        const asked = await takeSchemaRequests(pool, requests.map(digestOfRequest), thisActivity());
        const changes = await Promise.all(
          requests.map(async (request) =>
            asked.has(digestOfRequest(request))
              ? ownedChange(pool, server, request)
              : nothing(request, 'by the registry nobody asked for this'),
          ),
        );
        const sound = changes.filter((change) => change.refused === undefined);
        const result = await deployRequests(
          server,
          sound.map(({ request, put, remove }): PackageRequest => ({
            id: request.id,
            put: put.map(({ schemaName, baseSchema }) => ({
              name: schemaName,
              sd: generateSd(schemaName, loadSchema(baseSchema)),
            })),
            remove,
          })),
          { onStep: (step) => heartbeat({ step }) },
        );
        log.info('package deployed', {
          generation: result.generation,
          deploys: result.deploys,
          conflicts: result.conflicts,
          attempt: activityInfo().attempt,
        });

        const done = sound.filter(({ request }) =>
          result.outcomes.some(({ id, ok }) => ok && id === request.id),
        );
        const schemas = done.flatMap(({ put }) => put.map(({ schemaName }) => schemaName));
        // Generation 0: there is no application, and nothing of these was to be put into one.
        if (result.generation > 0) {
          heartbeat({ step: 'convergence', generation: result.generation });
          await waitForConvergence(
            server,
            vespaUrl,
            { generation: result.generation, schemas },
            { timeoutMs: CONVERGENCE_TIMEOUT_MS, signal },
          );
        }
        // Rows follow the package: a kill before this line finds all there already and writes them then.
        for (const { request } of done) {
          if (request.incarnation === null) continue;
          await markDeployed(pool, request.incarnation, request.add, result.generation);
          await markRemoved(pool, request.incarnation, request.remove);
        }
        const refused = new Map(changes.map(({ request, refused }) => [request.id, refused]));
        for (const { id, error } of result.outcomes) if (error !== undefined) refused.set(id, error);
        const outcomes = requests.map(({ id }): SchemaChangeOutcome => {
          const error = refused.get(id);
          return {
            id,
            ok: error === undefined,
            generation: result.generation,
            changed: error === undefined && result.deploys > 0,
            ...(error === undefined
              ? {}
              : { error: { type: 'Rejected', message: error.slice(0, MAX_REASON) } }),
          };
        });
        return { outcomes, generation: result.generation, deploys: result.deploys };
      });
    },
  };
}

/** What a request may touch: rows of its own incarnation, by the registry and nothing else. */
interface OwnedChange {
  readonly request: SchemaChangeRequest;
  readonly put: readonly SchemaRow[];
  readonly remove: readonly string[];
  /** Why nothing of it is carried out. */
  readonly refused?: string;
}

/** @internal */
export async function ownedChange(
  pool: Pool,
  server: ConfigServer,
  request: SchemaChangeRequest,
): Promise<OwnedChange> {
  const { tenant, incarnation, dropUnregistered = [] } = request;
  if (incarnation === null) return unregistered(pool, request, dropUnregistered);
  const owned = (await schemasOf(pool, incarnation)).filter((row) => row.tenant === tenant);
  const rows = (bases: readonly string[]) => owned.filter(({ baseSchema }) => bases.includes(baseSchema));
  const [put, remove] = [rows(request.add), rows(request.remove).map(({ schemaName }) => schemaName)];
  const unclaimed = request.add.filter((base) => !put.some(({ baseSchema }) => baseSchema === base));
  if (unclaimed.length > 0)
    return nothing(request, `the registry has no row of ${tenant ?? ''} for ${unclaimed.join(', ')}`);
  // A row that is gone with its schema is a step that ran before. One that is gone while the schema stays is a registry
  // that does not say what it said: nothing is taken out on its word.
  const unnamed = (request.removeNames ?? []).filter((name) => !remove.includes(name));
  if (unnamed.length > 0) {
    const { files, mapped } = await readPackage(server);
    const still = unnamed.filter((name) => files.has(name) || mapped.has(name));
    if (still.length > 0)
      return nothing(
        request,
        `planned to remove ${still.join(', ')}, which the registry does not name as theirs`,
      );
  }
  const adopted = await foreign(server, put);
  if (adopted !== undefined)
    return nothing(request, `schema ${adopted} is in the package already, and is nobody's by the registry`);
  return { request, put, remove };
}

/**
 * A name that was claimed and never deployed, under which the package has another schema: somebody else's. One with the
 * very bytes that we would put is ours, from an attempt that was killed before it could note so.
 */
async function foreign(server: ConfigServer, put: readonly SchemaRow[]): Promise<string | undefined> {
  for (const { schemaName, baseSchema, state } of put) {
    if (state !== 'reserved') continue;
    const there = await server.readFile(sdFile(schemaName));
    if (there !== undefined && there.toString('utf8') !== generateSd(schemaName, loadSchema(baseSchema)))
      return schemaName;
  }
  return undefined;
}

/** Schemas that are in the package and nobody's: taken out only while no row of the registry names them. */
async function unregistered(
  pool: Pool,
  request: SchemaChangeRequest,
  names: readonly string[],
): Promise<OwnedChange> {
  const owned = await registeredNames(pool, names);
  if (owned.size > 0) return nothing(request, `${[...owned].join(', ')} belongs to a tenant by the registry`);
  return { request, put: [], remove: names };
}

function nothing(request: SchemaChangeRequest, refused: string): OwnedChange {
  return { request, put: [], remove: [], refused };
}

/** Hands a request to the one writer of the package, starting it when it does not run. */
export async function sendSchemaChange(
  pool: Pool,
  client: Client,
  cluster: string,
  request: SchemaChangeRequest,
): Promise<void> {
  await noteSchemaRequest(pool, digestOfRequest(request));
  await client.workflow.signalWithStart('vespaApplication', {
    ...applicationStart(cluster),
    signal: 'requestSchemaChange',
    signalArgs: [request],
  });
}

function digestOfRequest(request: SchemaChangeRequest): string {
  return digestOf([request]);
}

/** The same in every attempt. */
function thisActivity(): string {
  const { workflowExecution, activityId } = activityInfo();
  return `${workflowExecution?.runId ?? ''} ${activityId}`;
}
