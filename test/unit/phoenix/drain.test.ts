import { expect, test, vi } from 'vitest';
import { PhoenixClient, type PhoenixAnswer } from '../../../src/phoenix/client.js';
import { SharedDrain } from '../../../src/phoenix/drain.js';

/** Phoenix's queue: a sentinel is accepted at once and found when the test says that it is stored. */
class Queue extends PhoenixClient {
  readonly accepted: string[] = [];
  readonly stored = new Set<string>();
  polls = 0;
  full = false;

  constructor() {
    super('http://127.0.0.1:9');
  }

  override async send(method: string, _path: string, body?: unknown): Promise<PhoenixAnswer> {
    const answer = (status: number) => ({ status, contentType: '', body: '' });
    if (method !== 'POST') return answer(204);
    if (this.full) return answer(503);
    this.accepted.push((body as { data: [{ context: { span_id: string } }] }).data[0].context.span_id);
    return answer(202);
  }

  override async get<T>(path: string): Promise<T> {
    this.polls++;
    const id = /span_id=(\w+)/.exec(path)![1]!;
    return { data: this.stored.has(id) ? [{}] : [] } as T;
  }

  store(): void {
    for (const id of this.accepted) this.stored.add(id);
  }
}

const never = new AbortController().signal;

/** @returns whether it has ended, to be asked at any time */
function watch(work: Promise<unknown>): () => string {
  let state = 'waits';
  work.then(
    () => (state = 'done'),
    () => (state = 'failed'),
  );
  return () => state;
}

test('fifty who ask at once wait for one sentinel', async () => {
  const phoenix = new Queue();
  const drain = new SharedDrain(phoenix, 10_000);
  const all = Promise.all(Array.from({ length: 50 }, () => drain.wait(never)));
  const state = watch(all);
  await vi.waitFor(() => expect(phoenix.polls).toBeGreaterThan(1));
  expect(state()).toBe('waits');
  phoenix.store();
  await all;
  expect(phoenix.accepted).toHaveLength(1);
});

test('a sentinel that was sent says nothing of what came after: who asks then waits for the next', async () => {
  const phoenix = new Queue();
  const drain = new SharedDrain(phoenix, 10_000);
  const first = drain.wait(never);
  await vi.waitFor(() => expect(phoenix.accepted).toHaveLength(1));
  const late = Array.from({ length: 50 }, () => drain.wait(never));
  const state = watch(Promise.all(late));
  phoenix.store();
  await first;
  await vi.waitFor(() => expect(phoenix.accepted).toHaveLength(2));
  const { polls } = phoenix;
  await vi.waitFor(() => expect(phoenix.polls).toBeGreaterThan(polls));
  expect(state()).toBe('waits');
  phoenix.store();
  await Promise.all(late);
  expect(phoenix.accepted).toHaveLength(2);
});

test('an abort is of the one who leaves; when all have left, the drain stops, and the next begins anew', async () => {
  const phoenix = new Queue();
  const drain = new SharedDrain(phoenix, 10_000);
  const [one, other] = [new AbortController(), new AbortController()];
  const [mine, yours] = [drain.wait(one.signal), drain.wait(other.signal)];
  await vi.waitFor(() => expect(phoenix.polls).toBeGreaterThan(0));
  // Not begun when its only one leaves: nothing is sent for it.
  const gone = new AbortController();
  const unsent = drain.wait(gone.signal);
  gone.abort(new Error('gone'));
  await expect(unsent).rejects.toThrow('gone');
  one.abort(new Error('cancelled'));
  await expect(mine).rejects.toThrow('cancelled');
  const { polls } = phoenix;
  await vi.waitFor(() => expect(phoenix.polls).toBeGreaterThan(polls));
  other.abort(new Error('cancelled too'));
  await expect(yours).rejects.toThrow('cancelled too');
  const next = drain.wait(never);
  await vi.waitFor(() => expect(phoenix.accepted).toHaveLength(2));
  phoenix.store();
  await next;
});

test('a queue that is full fails all who wait, and not those who ask again', async () => {
  const phoenix = new Queue();
  const drain = new SharedDrain(phoenix, 10_000);
  phoenix.full = true;
  const results = await Promise.allSettled([drain.wait(never), drain.wait(never)]);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  phoenix.full = false;
  const again = drain.wait(never);
  await vi.waitFor(() => expect(phoenix.accepted).toHaveLength(1));
  phoenix.store();
  await again;
});
