import { ApplicationFailure } from '@temporalio/common';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { vi } from 'vitest';
import type { SchemaChangeOutcome, SchemaChangeRequest } from '../../src/contracts/tenants.js';
import { SEARCH_ATTRIBUTES } from '../../src/domain/searchAttributes.js';
import { schemasChanged } from '../../workflows/messages.js';
import { WorkflowBench } from './workflows.js';

/** What activities are asked with: whose play it is can be told by one of these. */
interface Asked {
  readonly backup?: string;
  readonly tenant?: string;
  readonly operation?: string;
  readonly file?: string;
  readonly request?: SchemaChangeRequest;
  readonly state?: string;
  readonly failure?: { readonly code: string; readonly message: string };
}
type Answer = (input: never, play: Play) => unknown;
export type Answers = Readonly<Record<string, Answer>>;

/** One run's world: what each activity answers, and a journal of what was called. */
export class Play {
  readonly calls: string[] = [];
  /** Called before each step with its name, as in the journal; what it throws fails the step. */
  before: (call: string) => void | Promise<void> = () => {};
  answers: Answers;

  constructor(defaults: Answers, own: Answers = {}) {
    this.answers = { ...defaults, ...own };
  }

  async act(name: string, input: Asked): Promise<unknown> {
    const { state, failure } = input;
    const call = failure ? `${name} ${state} ${failure.code}: ${failure.message}` : name;
    this.calls.push(call);
    await this.before(call);
    return this.answers[name]!(input as never, this);
  }

  count(call: string): number {
    return this.calls.filter((c) => c === call).length;
  }
}

/** One pair of workers for all tests of a file, which run at once; each has a play of its own. */
export class Stage {
  readonly plays = new Map<string, Play>();
  private bench!: WorkflowBench;
  private workers!: Promise<unknown>;
  private stopWorkers!: () => void;

  /** @param names of the activities there are */
  constructor(private readonly names: readonly string[]) {}

  get client(): Client {
    return this.bench.client;
  }

  async start(): Promise<void> {
    this.bench = await WorkflowBench.start();
    const stopped = new Promise<void>((resolve) => (this.stopWorkers = resolve));
    const activities = Object.fromEntries(
      this.names.map((name) => [name, (input: Asked) => this.playOf(input).act(name, input)]),
    );
    this.workers = this.bench.withWorkers(activities, () => stopped);
  }

  async stop(): Promise<void> {
    this.stopWorkers?.();
    await this.workers;
    await this.bench?.stop();
  }

  /** Answers a request for schemas as `vespaApplication` does. */
  async schemasChange(
    request: SchemaChangeRequest,
    outcome: Partial<SchemaChangeOutcome> = {},
  ): Promise<void> {
    const answer = { id: request.id, ok: true, generation: 1, ...outcome };
    await this.client.workflow.getHandle(request.replyTo!).signal(schemasChanged, answer);
  }

  private playOf({ backup, tenant, operation, request, file }: Asked): Play {
    for (const key of [backup, tenant, operation, request?.tenant, file]) {
      const play = this.plays.get(key ?? '');
      if (play) return play;
    }
    throw new Error('nobody plays this');
  }
}

export const forGood = (message: string) =>
  ApplicationFailure.create({
    type: 'Rejected',
    message,
    nonRetryable: true,
    details: [{ hint: 'do this' }],
  });

/** Where a step waits until the test lets it go on. */
export function gate() {
  let arrive!: () => void;
  let open!: () => void;
  const reached = new Promise<void>((resolve) => (arrive = resolve));
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { reached, open, pass: () => (arrive(), opened) };
}

/**
 * Cancels a run while it is in a step, and lets the step end once that has arrived.
 *
 * @param whose step it is, when it is a child's
 */
export async function cancelIn(
  handle: WorkflowHandle,
  play: Play,
  step: string,
  whose: WorkflowHandle = handle,
): Promise<void> {
  const inStep = gate();
  const before = play.before;
  play.before = async (call) => {
    if (call === step) await inStep.pass();
    await before(call);
  };
  await inStep.reached;
  await handle.cancel();
  await vi.waitFor(
    async () => {
      const { events } = await whose.fetchHistory();
      if (!events?.some((event) => event.workflowExecutionCancelRequestedEventAttributes))
        throw new Error('it has not arrived');
    },
    { timeout: 30_000 },
  );
  inStep.open();
}

export async function operationState(handle: WorkflowHandle): Promise<unknown> {
  return (await handle.describe()).typedSearchAttributes.get(SEARCH_ATTRIBUTES.operationState);
}

/** What the Temporal UI shows of a run, in Markdown. */
export async function currentDetails(handle: WorkflowHandle): Promise<string> {
  const metadata = await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata');
  return metadata.currentDetails ?? '';
}
