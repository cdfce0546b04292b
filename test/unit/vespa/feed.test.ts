import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DocumentClient } from '../../../src/vespa/documents.js';
import { feed } from '../../../src/vespa/feed.js';
import { type FeedOptions, feedAll } from '../../../src/vespa/feeding/feeder.js';
import type { FeedItem, FeedOperation, FeedOutcome } from '../../../src/vespa/feeding/operation.js';
import { Resumable } from '../../../src/vespa/feeding/resumable.js';
import { type DocumentError, FeedBlocked, RetriesExhausted } from '../../../src/vespa/retry.js';
import { type Reply, ScriptedVespa, type Seen } from './feedServer.js';

let vespa: ScriptedVespa;
let client: DocumentClient;
let script: (seen: Seen) => Reply | Promise<Reply>;

beforeEach(async () => {
  script = () => 200;
  vespa = new ScriptedVespa((seen) => script(seen));
  vespa.retryAfter = '0';
  client = new DocumentClient(await vespa.listen(), { connections: 16 });
});
afterEach(async () => {
  await vespa.close();
  await client.close();
});

const item = (id: string, value = 'v'): FeedItem => ({
  at: { namespace: 'content', schema: 'small', id },
  body: Buffer.from(`{"fields":{"title":"${value}"}}`),
});

async function* items(count: number, pulled: { count: number } = { count: 0 }): AsyncGenerator<FeedItem> {
  for (let n = 0; n < count; n++) {
    pulled.count++;
    yield item(`d${n}`);
  }
}

/** Feeds, and keeps how each operation ended. */
function run(source: AsyncIterable<FeedOperation>, options: FeedOptions = {}) {
  const ends = new Map<string, FeedOutcome['state']>();
  const errors: Error[] = [];
  const report = feedAll(client, source, {
    ...options,
    onEnd: (operation, outcome) => {
      const { id } = operation.at;
      if (ends.has(id)) throw new Error(`${id} ended twice`);
      ends.set(id, outcome.state);
      if (outcome.state === 'failed') errors.push(outcome.error);
      options.onEnd?.(operation, outcome);
    },
  });
  const count = (state: FeedOutcome['state']) => [...ends.values()].filter((each) => each === state).length;
  return { report, ends, errors, count };
}

describe('each answer of the table', () => {
  it.each([408, 429, 500, 502, 503, 504])('%i is tried again until it is stored', async (status) => {
    script = ({ before }) => (before < 2 ? status : 200);
    const { report, count } = run(items(20));
    expect(await report).toMatchObject({ acknowledged: 20, failed: 0, retries: 40 });
    expect([count('acknowledged'), vespa.stored.size, vespa.seen.length]).toEqual([20, 20, 60]);
  });

  it.each([400, 404, 405, 412, 413, 501])(
    '%i is that document’s end, at once, and nobody else’s',
    async (status) => {
      script = ({ id }) => (id === 'd3' ? status : 200);
      const { report, ends, errors } = run(items(20));
      expect(await report).toMatchObject({ acknowledged: 19, failed: 1, retries: 0 });
      expect(ends.get('d3')).toBe('failed');
      expect(errors[0]).toMatchObject({
        status,
        message: `${status}: scripted ${status}`,
      } satisfies Partial<DocumentError>);
      expect(vespa.seen.filter(({ id }) => id === 'd3')).toHaveLength(1);
    },
  );

  it.each([401, 403])('%i ends the feed: it is no document’s fault', async (status) => {
    script = ({ id }) => (id === 'd3' ? status : 200);
    const { report, ends } = run(items(1000));
    await expect(report).rejects.toMatchObject({ type: 'PermissionDenied' });
    expect(ends.get('d3')).toBe('unacknowledged');
  });

  it('507 ends the feed, names all that was not acknowledged, and the rest can follow', async () => {
    let blocked = true;
    script = ({ id }) => (blocked && Number(id.slice(1)) >= 50 ? 507 : 200);
    const pulled = { count: 0 };
    const source = new Resumable<FeedOperation>(items(500, pulled));
    const { report, count } = run(source);
    const error = await report.then(() => undefined).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(FeedBlocked);
    const { unacknowledged } = error as FeedBlocked;
    expect(unacknowledged).toHaveLength(count('unacknowledged'));
    expect(count('acknowledged') + unacknowledged.length).toBe(pulled.count);
    expect(pulled.count).toBeLessThan(500);
    // Those acknowledged are stored, those not are not: none is on both sides or on none.
    expect(unacknowledged.filter(({ at }) => vespa.stored.has(at.id))).toEqual([]);
    expect(vespa.stored.size).toBe(count('acknowledged'));

    // Still blocked: what is put back is not lost either.
    source.putBack(unacknowledged);
    const again = await run(source).report.catch((e: unknown) => e);
    source.putBack((again as FeedBlocked).unacknowledged);
    blocked = false;
    await run(source).report;
    expect(vespa.stored.size).toBe(500);
    expect(pulled.count).toBe(500);
  });
});

describe('a resumable source', () => {
  it('gives what was put back before the rest, also when only some of that was pulled again', async () => {
    async function* numbers() {
      for (let n = 1; n <= 6; n++) yield n;
    }
    const source = new Resumable(numbers());
    const take = async (count: number) => {
      const taken: number[] = [];
      for await (const n of source) if (taken.push(n) === count) break;
      return taken;
    };
    source.putBack(await take(4));
    source.putBack(await take(2));
    expect(await take(9)).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

describe('a connection that is reset', () => {
  it.each([
    'reset-before-body',
    'reset-after-storing',
    'reset-in-status-line',
    'reset-in-answer',
    'close-after-answer',
  ] as const)('%s loses nothing', async (reply) => {
    script = ({ before, id }) => (before === 0 && Number(id.slice(1)) % 7 === 0 ? reply : 200);
    const { report } = run(items(100));
    expect(await report).toMatchObject({ acknowledged: 100, failed: 0 });
    expect(vespa.stored.size).toBe(100);
  });
});

describe('documents', () => {
  it('of one id go in order, one at a time, through faults', async () => {
    script = ({ before }) => ([429, 500, 200, 'reset-after-storing', 200] as const)[before % 5]!;
    async function* source(): AsyncGenerator<FeedOperation> {
      for (let n = 0; n < 300; n++) {
        const id = `d${n % 7}`;
        if (n % 11 === 5) yield { at: item(id).at, remove: true };
        else yield item(id, String(n));
      }
    }
    await feedAll(client, source());
    expect(vespa.overtaken).toBe(false);
    const expected = new Map<string, string>();
    for await (const operation of source()) {
      if ('body' in operation) expected.set(operation.at.id, operation.body.toString());
      else expected.delete(operation.at.id);
    }
    expect(vespa.stored).toEqual(expected);
  });

  it('that alone are answered 500 fail alone, while the server does all others', async () => {
    script = ({ id }) => (id === 'poison' ? 500 : 200);
    let failed = false;
    async function* source(): AsyncGenerator<FeedItem> {
      yield item('poison');
      for (let n = 0; n < 50_000 && !failed; n++) yield item(`d${n}`);
    }
    const { report, ends, errors } = run(source(), {
      onEnd: (_, { state }) => (failed ||= state === 'failed'),
    });
    expect(await report).toMatchObject({ failed: 1 });
    expect(ends.get('poison')).toBe('failed');
    expect(errors[0]).toBeInstanceOf(RetriesExhausted);
    expect(vespa.seen.filter(({ id }) => id === 'poison').length).toBeGreaterThanOrEqual(10);
  });

  it('that cannot be addressed fail without a request', async () => {
    async function* source(): AsyncGenerator<FeedItem> {
      yield item('..');
      yield item('fine');
    }
    expect(await run(source()).report).toMatchObject({ acknowledged: 1, failed: 1 });
    expect(vespa.seen.map(({ id }) => id)).toEqual(['fine']);
  });
});

describe('a server that only fails', () => {
  it('is asked by one probe at a time until it is well again', async () => {
    let healed = false;
    const times: number[] = [];
    script = () => {
      times.push(performance.now());
      healed ||= vespa.seen.length > 25;
      return healed ? 200 : 500;
    };
    const { report } = run(items(200));
    expect(await report).toMatchObject({ acknowledged: 200, failed: 0 });
    // Twenty open it, three may have been under way; from then on there are pauses of 200 ms and more.
    for (const n of [24, 25]) expect(times[n]! - times[n - 1]!).toBeGreaterThan(150);
    // No failure more than until it healed.
    expect(vespa.seen.length).toBe(200 + 25);
    expect(vespa.stored.size).toBe(200);
  });

  it('is given up when the caller’s signal says so, with nothing in flight', async () => {
    const caller = new AbortController();
    script = () => {
      if (vespa.seen.length === 24) caller.abort(new Error('enough'));
      return 500;
    };
    const { report, count } = run(items(200), { signal: caller.signal });
    await expect(report).rejects.toThrow('enough');
    expect(count('acknowledged')).toBe(0);
    expect(count('unacknowledged')).toBeGreaterThan(0);
    await expect.poll(() => vespa.inFlight).toBe(0);
    expect(vespa.seen.length).toBe(24);
  });

  it('is given up after the caller’s patience', async () => {
    script = () => 500;
    const { report, count } = run(items(10), { patienceMs: 0 });
    await expect(report).rejects.toThrow(/nothing was acknowledged for 0 s: 500: scripted 500/);
    expect(count('unacknowledged')).toBeGreaterThan(0);
  });
});

describe('a feed that is ended', () => {
  it('cuts off what is in flight, and rejects with the reason once none is left', async () => {
    const caller = new AbortController();
    script = () => {
      if (vespa.inFlight === 4) caller.abort(new Error('enough'));
      return new Promise<Reply>(() => undefined);
    };
    const pulled = { count: 0 };
    const { report, count } = run(items(100, pulled), { signal: caller.signal });
    await expect(report).rejects.toThrow('enough');
    expect(count('unacknowledged')).toBe(pulled.count);
    await expect.poll(() => vespa.inFlight).toBe(0);
    expect(vespa.seen).toHaveLength(4);
    expect(vespa.stored.size).toBe(0);
  });

  it('before it began, sends nothing', async () => {
    const { report } = run(items(10), { signal: AbortSignal.abort(new Error('never')) });
    await expect(report).rejects.toThrow('never');
    expect(vespa.seen).toEqual([]);
  });

  it('by its source’s failure ends with that, after what it gave has ended', async () => {
    async function* source(): AsyncGenerator<FeedItem> {
      yield* items(5);
      throw new Error('torn tape');
    }
    const { report, ends } = run(source());
    await expect(report).rejects.toThrow('torn tape');
    expect(ends.size).toBe(5);
    expect(vespa.inFlight).toBe(0);
  });

  it('closes its source', async () => {
    let closed = false;
    async function* source(): AsyncGenerator<FeedItem> {
      try {
        yield* items(1000);
      } finally {
        closed = true;
      }
    }
    script = () => 507;
    await expect(run(source()).report).rejects.toBeInstanceOf(FeedBlocked);
    expect(closed).toBe(true);
  });
});

describe('a slow server', () => {
  it('is a slow source: of 100,000 documents a window is held', async () => {
    const caller = new AbortController();
    script = () => new Promise<Reply>(() => undefined);
    const pulled = { count: 0 };
    const { report } = run(items(100_000, pulled), { signal: caller.signal });
    await expect.poll(() => vespa.inFlight).toBe(4);
    expect(pulled.count).toBe(8);
    caller.abort();
    await expect(report).rejects.toThrow();
    expect(pulled.count).toBe(8);
  });

  it('and at most so many bytes, however many may be in flight', async () => {
    const body = Buffer.alloc(1 << 20, ' ');
    let held = 0;
    let most = 0;
    async function* source(): AsyncGenerator<FeedItem> {
      for (let n = 0; n < 60; n++) {
        most = Math.max(most, ++held);
        yield { ...item(`d${n}`), body };
      }
    }
    await run(source(), { maxHeldBytes: 4 << 20, onEnd: () => held-- }).report;
    expect(most).toBeLessThanOrEqual(4);
    expect(vespa.stored.size).toBe(60);
  });
});

describe('feed', () => {
  it('stops at the first failure and throws it', async () => {
    script = ({ id }) => (id === 'd9' ? 400 : 200);
    const pulled = { count: 0 };
    await expect(feed(client, items(10_000, pulled), { concurrency: 8 })).rejects.toThrow(
      /^document d\d+: 400: scripted 400$/,
    );
    expect(pulled.count).toBeLessThan(100);
    expect(vespa.inFlight).toBe(0);
  });

  it('never has more in flight than asked for', async () => {
    const counts: number[] = [];
    expect(await feed(client, items(300), { concurrency: 3, onStored: (n) => counts.push(n) })).toBe(300);
    expect(vespa.peak).toBeLessThanOrEqual(3);
    expect(counts).toEqual(Array.from({ length: 300 }, (_, n) => n + 1));
  });
});
