import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { DocumentClient } from '../../../src/vespa/documents.js';
import { type VisitRequest, VisitMiscounted, visit } from '../../../src/vespa/visit.js';
import { type Bucket, type Fate, ScriptedVisits, bucketsOf, put, startedVisits } from './visitServer.js';

const { open, start, close } = startedVisits();
afterEach(close);

const REQUEST: VisitRequest = { cluster: 'c', schema: 'music', idleMs: 5_000 };

/** All that stands when the visit ends, as a caller that follows the rules would have it, and how often it was rewound. */
async function collect(client: DocumentClient, request: Partial<VisitRequest> = {}) {
  const kept: string[] = [];
  let tentative: string[] = [];
  let [rewinds, finished] = [0, false];
  const tokens: (string | undefined)[] = [];
  for await (const event of visit(client, { ...REQUEST, ...request })) {
    if (event.kind === 'lines') tentative.push(...event.lines.map(String));
    else if (event.kind === 'rewind') {
      tentative = [];
      rewinds++;
    } else {
      kept.push(...tentative);
      tentative = [];
      tokens.push(event.token);
      finished = event.token === undefined;
    }
  }
  return { kept, rewinds, tokens, finished };
}

const documentsOf = (buckets: readonly Bucket[]) => buckets.flatMap(({ documents }) => documents);
const unique = (lines: readonly string[]) => [...new Set(lines)];

describe('a visit', () => {
  it('brings the very bytes of every line, and is finished by the last word alone', async () => {
    const odd = [
      put(
        'a',
        '{"n":9223372036854775807,"z":-0.0,"e":1e300,"t":{"type":"tensor<float>(x[1])","values":"7FC00000"}}',
      ),
      put('q\\"uo\\\\te', '{"title":"größe \\u0000 \\n 🎞"}'),
    ];
    const { server, client } = await start([{ documents: odd }, ...bucketsOf([0, 3])]);
    const { kept, tokens, finished } = await collect(client, { namespace: 'content', slices: 4, sliceId: 2 });
    expect(kept).toEqual([...odd, ...documentsOf(bucketsOf([0, 0, 3])).map((_, n) => put(`1_${n}`))]);
    expect([finished, tokens.at(-1)]).toEqual([true, undefined]);
    expect(Object.fromEntries(server.requests[0]!)).toMatchObject({
      stream: 'true',
      'format.tensors': 'hex',
      concurrency: '1',
      slices: '4',
      sliceId: '2',
    });
  });

  it('is never falsely ended, and loses and doubles nothing, wherever its responses are cut', async () => {
    const buckets = bucketsOf([1, 2, 0, 1]);
    const whole = Buffer.byteLength(new ScriptedVisits(buckets).body(0));
    const cutAfter = async (after: number) => {
      const { client } = await start(buckets, (request) =>
        request === 0 ? { kind: after % 2 === 0 ? 'cut' : 'short', after } : { kind: 'whole' },
      );
      const { kept, finished } = await collect(client, { checkpointDocuments: 2 });
      expect(finished, `cut after ${after} bytes`).toBe(true);
      expect(unique(kept), `cut after ${after} bytes`).toEqual(documentsOf(buckets));
    };
    for (let after = 0; after < whole; after += 25) {
      await Promise.all(Array.from({ length: Math.min(25, whole - after) }, (_, n) => cutAfter(after + n)));
      for (const close of open.splice(0)) await close();
    }
  });

  it('comes to the same with any faults in any order', async () => {
    const fates: fc.Arbitrary<Fate> = fc.oneof(
      fc.record({ kind: fc.constant('cut' as const), after: fc.nat(2_000) }),
      fc.record({ kind: fc.constant('short' as const), after: fc.nat(2_000) }),
      fc.record({ kind: fc.constant('limit' as const), afterBuckets: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ kind: fc.constant('error' as const), afterBuckets: fc.nat(4) }),
      fc.record({
        kind: fc.constant('status' as const),
        status: fc.constantFrom(408, 429, 500, 502, 503, 504),
      }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(6), { maxLength: 8 }),
        fc.array(fates, { maxLength: 5 }),
        fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
        async (sizes, script, checkpointDocuments) => {
          const buckets = bucketsOf(sizes);
          const { client } = await start(buckets, (request) => script[request] ?? { kind: 'whole' });
          const { kept, finished } = await collect(
            client,
            checkpointDocuments === undefined ? {} : { checkpointDocuments },
          );
          expect(finished).toBe(true);
          expect(unique(kept)).toEqual(documentsOf(buckets));
          // Only the document before a token may come again, once for each time it went on from one.
          expect(kept.length - unique(kept).length).toBeLessThanOrEqual(script.length);
          await open.pop()!();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('goes on from a checkpoint’s token', async () => {
    const buckets = bucketsOf([3, 3, 3]);
    const { client } = await start(buckets);
    const { tokens } = await collect(client);
    const { kept } = await collect(client, { continuation: tokens[0] });
    expect(kept).toEqual(documentsOf(buckets.slice(1)));
  });

  it('takes up a response that falls silent', async () => {
    const buckets = bucketsOf([5, 5]);
    const { client } = await start(buckets, (request) =>
      request === 0 ? { kind: 'silent', after: 200 } : { kind: 'whole' },
    );
    const { kept, rewinds } = await collect(client, { idleMs: 100 });
    expect([kept, rewinds]).toEqual([documentsOf(buckets), 1]);
  });

  it('says so when the server sends fewer documents than it counts', async () => {
    const { client } = await start(bucketsOf([5, 5]), () => ({ kind: 'loses', document: 7 }));
    await expect(collect(client)).rejects.toThrow(VisitMiscounted);
  });

  it('gets on over a line that never lasts for as long as a checkpoint wants', async () => {
    const buckets = bucketsOf(Array.from({ length: 30 }, () => 4));
    const { client } = await start(buckets, () => ({ kind: 'cut', after: 900 }));
    // Some 15 documents each time: never the 100 after which a checkpoint is wanted.
    const seen = new Set<string>();
    let finished = false;
    for await (const event of visit(client, { ...REQUEST, checkpointDocuments: 100 })) {
      if (event.kind === 'lines') for (const line of event.lines) seen.add(String(line));
      finished = event.kind === 'checkpoint' && event.token === undefined;
    }
    expect([seen.size, finished]).toEqual([120, true]);
  });

  it('gives up on a server that only fails, with the server’s words', async () => {
    const { client } = await start(bucketsOf([1]), () => ({ kind: 'status', status: 503 }));
    await expect(collect(client, { patienceMs: 200 })).rejects.toThrow(
      /nothing came of the visit of music.*503/,
    );
  });

  it.each([400, 404])('is refused at once by %i', async (status) => {
    const { server, client } = await start(bucketsOf([1]), () => ({ kind: 'status', status }));
    await expect(collect(client)).rejects.toThrow(`scripted ${status}`);
    expect(server.requests).toHaveLength(1);
  });

  it('is let into no endpoint that answers 401', async () => {
    const { client } = await start(bucketsOf([1]), () => ({ kind: 'status', status: 401 }));
    await expect(collect(client)).rejects.toMatchObject({ type: 'PermissionDenied' });
  });

  it('ends with its signal’s reason, in a pause as within a response', async () => {
    for (const fate of [
      { kind: 'silent', after: 300 },
      { kind: 'status', status: 503 },
    ] as const) {
      const { client, server } = await start(bucketsOf([9, 9]), () => fate);
      const reason = new Error('enough');
      const abort = new AbortController();
      const result = collect(client, { signal: abort.signal });
      result.catch(() => undefined);
      await expect.poll(() => server.requests.length).toBeGreaterThan(0);
      abort.abort(reason);
      await expect(result).rejects.toBe(reason);
    }
  });

  it('reads no further ahead of its reader than a few MiB', async () => {
    const big = put('big', `{"t":"${'f'.repeat(1 << 20)}"}`);
    const buckets = Array.from({ length: 64 }, () => ({ documents: [big] }));
    const { client } = await start(buckets);
    const events = visit(client, REQUEST);
    await events.next();
    const before = process.memoryUsage().arrayBuffers;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20);
    await events.return(undefined);
  });
});
