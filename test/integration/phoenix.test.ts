import { randomBytes, randomUUID } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { type TenantId, parseTenantId } from '../../src/domain/ids.js';
import { phoenixProjectName } from '../../src/domain/naming.js';
import { PhoenixClient, PhoenixError } from '../../src/phoenix/client.js';
import { deleteProject, ensureProject, findProject } from '../../src/phoenix/projects.js';
import { countSpans, listSpans, readSpans, spanPage } from '../../src/phoenix/storedSpans.js';
import { type Destination, storedIds } from '../../src/telemetry/destination.js';
import type { TelemetryOptions } from '../../src/telemetry/telemetry.js';
import { freePort } from '../support/postgres.js';
import { atOnce } from '../support/registry.js';
import { type MadeSpan, destinationFor, madeSpan, telemetryTo } from '../support/telemetry.js';

/** 50 by hand. */
const TENANTS = Number(process.env['PHOENIX_TENANTS'] ?? 10);
const SPANS = 10;

let url: string;
let phoenix: PhoenixClient;
const projects: string[] = [];

beforeAll(() => {
  url = process.env['PHOENIX_URL'] ?? inject('stack').addresses.phoenixUrl;
  phoenix = new PhoenixClient(url);
});
afterEach(async () => {
  for (const name of projects.splice(0)) await deleteProject(phoenix, name);
});

/** A tenant that no other test or run has; its project is deleted after the test. */
function newTenant(): TenantId {
  const tenant = parseTenantId(`t${randomUUID().replaceAll('-', '')}`);
  projects.push(phoenixProjectName(tenant));
  return tenant;
}

function target(tenant = newTenant()): Destination {
  return destinationFor(tenant);
}

const search = (query: string, { attributes, ...more }: MadeSpan = {}) =>
  madeSpan({ ...more, attributes: { 'input.value': query, ...attributes } });

/** Sends them, waits until they are accepted, and says what became of them. */
async function send(
  spans: readonly (readonly [Destination, ReturnType<typeof search>])[],
  options: Partial<TelemetryOptions> = {},
) {
  const telemetry = telemetryTo(
    url,
    spans.map(([to]) => to),
    options,
  );
  for (const [to, span] of spans) telemetry.record(to.tenant, span);
  expect(await telemetry.flush(20_000)).toBe(true);
  return telemetry.close();
}

const hex = (bytes: number) => randomBytes(bytes).toString('hex');

async function collect<T>(all: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const one of all) list.push(one);
  return list;
}

async function stored(project: string, count: number) {
  await expect
    .poll(async () => (await listSpans(phoenix, project, 1000))?.length, { timeout: 60_000 })
    .toBe(count);
  return (await listSpans(phoenix, project, 1000))!;
}

describe('a project', () => {
  it('is made once by 5 creates at once, which all get it, and by a sixth', async () => {
    const name = phoenixProjectName(newTenant());
    expect(await findProject(phoenix, name)).toBeUndefined();
    const made = await atOnce(5, () => ensureProject(phoenix, name, 'test'));
    const there = await findProject(phoenix, name);
    expect(there).toMatchObject({ name });
    expect([...made, await ensureProject(phoenix, name, 'again')]).toEqual(Array(6).fill(there));
  });

  it('is had also when another made it between the look and the create, which Phoenix answers with 500', async () => {
    const name = phoenixProjectName(newTenant());
    const first = await ensureProject(phoenix, name, 'test');
    // A client that looked before the other's create had ended.
    class Late extends PhoenixClient {
      private looked = false;
      override async get<T>(...args: Parameters<PhoenixClient['get']>): Promise<T | undefined> {
        if (this.looked) return super.get(...args) as Promise<T | undefined>;
        this.looked = true;
        return undefined;
      }
    }
    expect(await ensureProject(new Late(url), name, 'test')).toEqual(first);
    expect((await phoenix.send('POST', '/v1/projects', { name })).status).toBe(500);
  });

  it('is deleted with its spans, and deleting it again is success', async () => {
    const to = target();
    const { project } = to;
    await send([[to, search('gone')]]);
    await stored(project, 1);
    for (let i = 0; i < 2; i++) await deleteProject(phoenix, project);
    expect(await findProject(phoenix, project)).toBeUndefined();
    expect(await listSpans(phoenix, project)).toBeUndefined();
    expect(await countSpans(phoenix, project, { from: new Date(0), to: new Date() })).toBeUndefined();
    // Re-created under the same name it is empty.
    await ensureProject(phoenix, project, 'next life');
    expect(await listSpans(phoenix, project)).toEqual([]);
  });

  it.each(['', 'Acme', 'a/b', '..', 'a%2Fb', 'a b', 'проект', 'x'.repeat(101)])(
    'is never asked for as %j',
    async (name) => {
      const refused = { name: 'OpsError', type: 'InvalidInput' };
      await expect(findProject(phoenix, name)).rejects.toMatchObject(refused);
      await expect(ensureProject(phoenix, name, '')).rejects.toMatchObject(refused);
      await expect(deleteProject(phoenix, name)).rejects.toMatchObject(refused);
      await expect(listSpans(phoenix, name)).rejects.toMatchObject(refused);
    },
  );

  it('called default is Phoenix’s own and cannot be deleted', async () => {
    await expect(deleteProject(phoenix, 'default')).rejects.toThrow(/403.*default project cannot be deleted/);
  });
});

describe('a path that is none', () => {
  it('is an error, though Phoenix answers it with 200 and a page', async () => {
    const error: unknown = await phoenix.get('/v1/nothing/here', undefined as never).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(PhoenixError);
    expect((error as Error).message).toMatch(/not a Phoenix API answer, but text\/html/);
  });

  it('is an error in GraphQL too', async () => {
    const end = phoenix.graphql('{ noSuchField }', {}, undefined as never);
    await expect(end).rejects.toThrow(/GraphQL: .*noSuchField/);
  });
});

describe('spans', () => {
  it(`of ${TENANTS} tenants with equal trace, span and session ids, sent mixed, are each in the right project and nowhere else`, async () => {
    const targets = Array.from({ length: TENANTS }, () => target());
    const ids = Array.from({ length: SPANS }, () => ({ traceId: hex(16), spanId: hex(8) }));
    const attributes = { 'session.id': 'shared' };
    const counts = await send(
      ids.flatMap((id, i) =>
        targets.map((each) => [each, search(`${each.tenant} ${i}`, { ...id, attributes })] as const),
      ),
      // Less than there are: providers come and go between the spans of one tenant.
      { maxTenants: TENANTS / 2 },
    );
    expect(counts).toMatchObject({ failed: 0, dropped: 0, withheld: 0 });

    for (const { tenant, project, incarnation } of targets) {
      const spans = await stored(project, SPANS);
      expect(spans.map(({ attributes }) => attributes['input.value']).toSorted()).toEqual(
        Array.from({ length: SPANS }, (_, i) => `${tenant} ${i}`),
      );
      for (const span of spans) {
        expect(span.attributes).toMatchObject({
          tenant_id: tenant,
          'tenant.id': tenant,
          incarnation,
          'session.id': `${tenant}:shared`,
        });
      }
      expect(spans.map(({ context }) => context.span_id).toSorted()).toEqual(
        ids.map(({ traceId, spanId }) => storedIds(incarnation, { traceId, spanId }).spanId).toSorted(),
      );
    }
    // Deleting one tenant's project leaves the others' spans, equal session names or not.
    await deleteProject(phoenix, targets[0]!.project);
    for (const { project } of targets.slice(1)) await stored(project, SPANS);
  });

  it('of traced work are one trace with its parts, what failed with why', async () => {
    const to = target();
    const telemetry = telemetryTo(url, [to]);
    const failing = telemetry.traced(to, 'CHAIN', 'outer', { 'input.value': 'a red car' }, () =>
      telemetry.traced(to, 'RETRIEVER', 'inner', {}, async () => {
        throw new Error('Vespa answered 503, token=abcdef');
      }),
    );
    await expect(failing).rejects.toThrow('503');
    await telemetry.flush();
    const spans = await stored(to.project, 2);
    const [outer, inner] = ['outer', 'inner'].map((name) => spans.find((span) => span.name === name)!);
    expect(outer).toMatchObject({
      span_kind: 'CHAIN',
      parent_id: null,
      status_code: 'ERROR',
      status_message: 'Vespa answered 503, token=***',
      attributes: { 'operation.name': 'outer', 'input.value': 'a red car' },
    });
    expect(inner).toMatchObject({ span_kind: 'RETRIEVER', parent_id: outer!.context.span_id });
    expect(inner!.context.trace_id).toBe(outer!.context.trace_id);
    // Seen stored, not only accepted.
    await expect.poll(() => telemetry.counts).toMatchObject({ held: 0, stored: 2 });
    await telemetry.close();
  });

  it('with a NUL, half a surrogate pair or a long text arrive, where Phoenix would drop them or their batch', async () => {
    const to = target();
    const { project } = to;
    await send([
      [to, search('n\0ul', { error: 'why\0', attributes: { 'session.id': 's\0' } })],
      [to, search('half \ud800')],
      [to, search('x'.repeat(100_000))],
    ]);
    const spans = await stored(project, 3);
    expect(spans.map((s) => (s.attributes['input.value'] as string).slice(0, 40)).toSorted()).toEqual([
      'half \ufffd',
      'nul',
      'x'.repeat(40),
    ]);
  });

  it('are read in pages, filtered, and counted over a time', async () => {
    const to = target();
    const { tenant, project } = to;
    const start = Date.UTC(2026, 0, 1);
    await send(
      Array.from({ length: 25 }, (_, i) => {
        const startedAt = new Date(start + i * 60_000);
        const attributes = { 'session.id': String(i % 5) };
        return [to, search(`q${i}`, { startedAt, attributes, ...(i % 5 === 0 ? { error: 'e' } : {}) })];
      }),
    );
    await stored(project, 25);

    const read = await collect(readSpans(phoenix, project, {}, 7));
    expect(read.map((s) => s.attributes['input.value'])).toEqual(
      Array.from({ length: 25 }, (_, i) => `q${i}`),
    );
    const newest = await spanPage(phoenix, project, { limit: 3 });
    expect(newest?.spans.map((s) => s.attributes['input.value'])).toEqual(['q24', 'q23', 'q22']);
    const next = await spanPage(phoenix, project, { limit: 30, after: newest?.next });
    expect(next?.spans).toHaveLength(22);
    expect(next?.next).toBeUndefined();

    const range = { from: new Date(start + 5 * 60_000), to: new Date(start + 15 * 60_000) };
    const inRange = await collect(readSpans(phoenix, project, { ...range, roots: true }));
    expect(inRange.map((s) => s.attributes['input.value'])).toEqual(
      Array.from({ length: 10 }, (_, i) => `q${i + 5}`),
    );
    expect(await countSpans(phoenix, project, range)).toBe(10);
    expect(await countSpans(phoenix, project, range, 'parent_id is None and status_code == "ERROR"')).toBe(2);
    expect(await countSpans(phoenix, project, { from: new Date(0), to: new Date(start) })).toBe(0);

    const ofSession = readSpans(phoenix, project, { attribute: ['session.id', `${tenant}:2`] });
    expect((await collect(ofSession)).map((s) => s.attributes['input.value'])).toEqual([
      'q2',
      'q7',
      'q12',
      'q17',
      'q22',
    ]);
    const { context } = read[3]!;
    const one = await spanPage(phoenix, project, { traceId: context.trace_id, spanId: context.span_id });
    expect(one?.spans.map((s) => s.attributes['input.value'])).toEqual(['q3']);
    expect((await spanPage(phoenix, project, { name: 'other' }))?.spans).toEqual([]);
  });

  it('are not sent to another project by the environment', async () => {
    const [mine, other] = [target(), target()];
    const names = ['OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_TRACES_SAMPLER', 'OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT'];
    const before = names.map((name) => process.env[name]);
    try {
      process.env['OTEL_EXPORTER_OTLP_HEADERS'] = `x-project-name=${other.project}`;
      process.env['OTEL_TRACES_SAMPLER'] = 'always_off';
      process.env['OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT'] = '1';
      await send([[mine, search('mine')]]);
    } finally {
      names.forEach((name, i) => {
        if (before[i] === undefined) delete process.env[name];
        else process.env[name] = before[i];
      });
    }
    expect((await stored(mine.project, 1))[0]!.attributes).toMatchObject({
      tenant_id: mine.tenant,
      'input.value': 'mine',
    });
    expect(await findProject(phoenix, other.project)).toBeUndefined();
  });
});

describe('a Phoenix that is down', () => {
  it('fails a call at once with an error that may be retried, and never the work whose span it misses', async () => {
    const nowhere = `http://127.0.0.1:${await freePort()}`;
    const error: unknown = await findProject(new PhoenixClient(nowhere), 'acme_project').catch(
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(PhoenixError);
    expect((error as PhoenixError).status).toBe(0);
    expect((error as Error).message).toContain(`no answer from Phoenix at ${nowhere}: connect ECONNREFUSED`);

    const to = target();
    const telemetry = telemetryTo(nowhere, [to], { maxSpans: 50 });
    for (let i = 0; i < 200; i++)
      expect(await telemetry.traced(to, 'TOOL', 'work', {}, async () => i)).toBe(i);
    expect(telemetry.counts).toMatchObject({ stored: 0, dropped: 150, held: 50 });
    await telemetry.close(100);
    await expect.poll(() => telemetry.counts).toMatchObject({ stored: 0, failed: 50, dropped: 150, held: 0 });
  });
});
