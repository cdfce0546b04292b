import {
  allHandlersFinished,
  condition,
  getExternalWorkflowHandle,
  log,
  makeContinueAsNewFunc,
  patched,
  setCurrentDetails,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { SchemaChangeOutcome, SchemaChangeRequest } from '../src/contracts/tenants.js';
import { failureRecord } from './failures.js';
import { applicationStatus, changeSchemas, requestSchemaChange, schemasChanged } from './messages.js';
import { application } from './options.js';
import { versioned } from './versioning.js';

/** State carried over a continue-as-new; read older `version`s, never reuse a field. */
export interface ApplicationState {
  readonly version: 1;
  readonly cluster: string;
  readonly waiting: readonly SchemaChangeRequest[];
  readonly deploys: number;
  readonly requests: number;
  readonly generation: number;
}

/** Requests that come within this of the first one of an idle time join its deploy. */
const GATHER_MS = 300;
/** How often the gathering goes on, at most. */
const MAX_GATHERS = 10;
/** Requests in one package, and their size in JSON: bounds the activity's input to well below 64 KiB. */
const MAX_BATCH = 100;
const MAX_BATCH_LENGTH = 50_000;
/** The entity ends when nobody wants anything for this long; the next request starts it again. */
const IDLE = '1 hour';

/**
 * The only writer of a Vespa cluster's application package. Requests that arrive while a deploy runs wait and are
 * deployed as one; a request that makes the package invalid is found and refused alone.
 */
export async function vespaApplication(state: ApplicationState): Promise<{ deploys: number }> {
  const waiting: SchemaChangeRequest[] = [...state.waiting];
  const settled = new Map<string, SchemaChangeOutcome>();
  let deploying: readonly SchemaChangeRequest[] = [];
  let { deploys, requests, generation } = state;

  const enqueue = (request: SchemaChangeRequest): void => {
    const known = waiting.some((r) => r.id === request.id) || deploying.some((r) => r.id === request.id);
    if (!known) waiting.push(request);
  };
  setHandler(requestSchemaChange, enqueue);
  setHandler(changeSchemas, async (request) => {
    enqueue(request);
    await condition(() => settled.has(request.id));
    return settled.get(request.id)!;
  });
  setHandler(applicationStatus, () => ({
    deploys,
    requests,
    generation,
    waiting: waiting.length,
    deploying: deploying.length,
  }));

  const describe = (doing: string): void =>
    setCurrentDetails(
      `**Vespa application \`${state.cluster}\`**: ${doing}\n\n` +
        `- generation **${generation}**\n- **${deploys}** deploys for **${requests}** requests\n- **${waiting.length}** waiting`,
    );

  for (;;) {
    describe('waits for a request');
    if (!(await condition(() => waiting.length > 0, IDLE))) {
      await condition(allHandlersFinished);
      if (waiting.length === 0) return { deploys };
    }
    let seen = waiting.length;
    await sleep(GATHER_MS, { summary: 'gather requests' });
    // While more keep coming the deploy waits for them: a hundred tenants that are created at once are a few deploys,
    // however slowly the machine hands their requests over.
    for (
      let rounds = 0;
      rounds < MAX_GATHERS && seen < waiting.length && waiting.length < MAX_BATCH;
      rounds++
    ) {
      if (!patched('gather-until-quiet')) break;
      seen = waiting.length;
      await sleep(GATHER_MS, { summary: 'more keep coming' });
    }

    // Every update that waited for one of these has read it: the timer above was an activation of its own.
    settled.clear();
    const batch = takeBatch(waiting);
    deploying = batch;
    describe(`deploys ${batch.length} request(s) of ${tenantsOf(batch)}`);
    const result = await deployBatch(state.cluster, batch);
    deploying = [];
    deploys += result.deploys;
    generation = Math.max(generation, result.generation);
    requests += batch.length;

    for (const outcome of result.outcomes) settled.set(outcome.id, outcome);
    await Promise.all(batch.map((request) => reply(request, settled.get(request.id)!)));

    // An update cannot be carried over: its caller would wait for ever. Under steady load that only makes a run longer.
    const full = workflowInfo().continueAsNewSuggested || workflowInfo().historyLength > 4000;
    if (full && allHandlersFinished()) {
      const continueSelf = makeContinueAsNewFunc<typeof vespaApplication>({
        initialVersioningBehavior: 'AUTO_UPGRADE',
      });
      await continueSelf({ version: 1, cluster: state.cluster, waiting, deploys, requests, generation });
    }
  }
}
versioned('AUTO_UPGRADE', vespaApplication);

/**
 * The next requests in order, up to the first that would put back what an earlier one takes out, or the other way: one
 * package cannot do both, and a schema that only stayed would show its old documents to the new owner of the name.
 */
function takeBatch(waiting: SchemaChangeRequest[]): SchemaChangeRequest[] {
  const tenants = new Map<string, 'add' | 'remove'>();
  let end = 0;
  let length = 0;
  for (const request of waiting.slice(0, MAX_BATCH)) {
    const { id, tenant, add, remove, dropUnregistered = [] } = request;
    const removes = remove.length + dropUnregistered.length > 0;
    const verb = removes ? 'remove' : 'add';
    const before = tenants.get(tenant ?? id);
    length += JSON.stringify(request).length;
    if ((add.length > 0 && removes && end > 0) || (before !== undefined && before !== verb)) break;
    if (length > MAX_BATCH_LENGTH) break;
    tenants.set(tenant ?? id, verb);
    end++;
  }
  return waiting.splice(0, Math.max(1, end));
}

interface BatchResult {
  readonly outcomes: readonly SchemaChangeOutcome[];
  readonly generation: number;
  readonly deploys: number;
}

async function deployBatch(cluster: string, batch: readonly SchemaChangeRequest[]): Promise<BatchResult> {
  try {
    return await application.deployBatch.executeWithOptions(
      { summary: `${batch.length} request(s): ${tenantsOf(batch)}` },
      [{ cluster, requests: batch }],
    );
  } catch (error) {
    const { code, message } = failureRecord(error);
    log.error('deploy given up', { cluster, requests: batch.length, code, message });
    return {
      outcomes: batch.map(({ id }) => ({ id, ok: false, generation: 0, error: { type: code, message } })),
      generation: 0,
      deploys: 0,
    };
  }
}

async function reply(request: SchemaChangeRequest, outcome: SchemaChangeOutcome): Promise<void> {
  if (request.replyTo === undefined) return;
  try {
    await getExternalWorkflowHandle(request.replyTo).signal(schemasChanged, outcome);
  } catch (error) {
    // Whoever asked has ended meanwhile; the registry's rows say what was deployed.
    log.warn('nobody to answer', { request: request.id, replyTo: request.replyTo, error: String(error) });
  }
}

function tenantsOf(batch: readonly SchemaChangeRequest[]): string {
  const names = [...new Set(batch.map((request) => request.tenant ?? 'nobody'))];
  return names.length <= 3
    ? names.join(', ')
    : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}
