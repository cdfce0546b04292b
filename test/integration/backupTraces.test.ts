import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { clearTraces } from '../../src/backup/traces/clear.js';
import { exportTraces } from '../../src/backup/traces/export.js';
import { type ImportOptions, digestTraces, importTraces } from '../../src/backup/traces/import.js';
import { type SpanLine, TRACE_KINDS, type TraceKind } from '../../src/backup/traces/lines.js';
import type { ClonePlan, TenantLife } from '../../src/domain/clone.js';
import { parseIncarnation, parseTenantId } from '../../src/domain/ids.js';
import { phoenixProjectName } from '../../src/domain/naming.js';
import { readRecords } from '../../src/embedded/records.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { deleteProject, ensureProject, findProject } from '../../src/phoenix/projects.js';
import { readSpans } from '../../src/phoenix/storedSpans.js';
import { CountingProxy } from '../support/countingProxy.js';
import { fillTraces, restorable } from '../support/traces.js';

/** Phoenix stores 60 to 200 spans a second, and tests of a busy machine's share fewer. */
const SLOW = { timeout: 600_000 };
const call = { signal: new AbortController().signal, heartbeat: () => undefined };
let url: string;
let phoenix: PhoenixClient;
const projects: string[] = [];

beforeAll(() => {
  url = inject('stack').addresses.phoenixUrl;
  phoenix = new PhoenixClient(url);
});
afterAll(async () => {
  for (const name of projects) await deleteProject(phoenix, name);
});

/** A tenant that no other test or run has. */
function newLife(): TenantLife & { readonly project: string } {
  const tenant = parseTenantId(`t${randomUUID().replaceAll('-', '')}`);
  const project = phoenixProjectName(tenant);
  projects.push(project);
  return { tenant, incarnation: parseIncarnation(randomUUID()), project };
}

type Lines = Record<TraceKind, Buffer[]>;

async function linesOf(project: string): Promise<Lines> {
  const traces = (await exportTraces(phoenix, project, call))!;
  const lines: Lines = { spans: [], annotations: [], notes: [] };
  for (const kind of TRACE_KINDS) for await (const line of traces.lines(kind)) lines[kind].push(line);
  return lines;
}

const importLines = (
  project: string,
  lines: Lines,
  more: Partial<ImportOptions> = {},
  through: PhoenixClient = phoenix,
) =>
  importTraces(
    through,
    project,
    { spans: each(lines.spans), annotations: each(lines.annotations), notes: each(lines.notes) },
    { ...call, description: 'restored', ...more },
  );

async function* each(lines: readonly Buffer[]) {
  yield* lines;
}

const digestOf = (lines: Lines) => digestTraces((kind) => each(lines[kind]));
const contentOf = (lines: Lines) => TRACE_KINDS.map((kind) => restorable(lines[kind]));

/** Its nth call, counted from 0, is the last that its caller waits for. */
class StoppingPhoenix extends PhoenixClient {
  private readonly stopping = new AbortController();
  readonly signal = this.stopping.signal;

  constructor(
    url: string,
    private left: number,
  ) {
    super(url);
  }

  override send(...call: Parameters<PhoenixClient['send']>) {
    if (this.left-- === 0) this.stopping.abort();
    return super.send(...call);
  }
}

/** Another way to look: Phoenix's flat form, without its own ids. */
async function flat(project: string) {
  const rows = [];
  for await (const span of readSpans(phoenix, project)) rows.push(span);
  return rows.toSorted((a, b) => (a.context.span_id < b.context.span_id ? -1 : 1));
}

/** Of four spans each, of which Phoenix stores some 50 a second; 500 for the figure of docs/backup-traces.md. */
const TRACES = Number(process.env['TRACES'] ?? 60);

async function fill(traces: number) {
  const life = newLife();
  await ensureProject(phoenix, life.project, 'of a test');
  const filled = await fillTraces(phoenix, life.project, { ...life, seed: life.tenant, traces });
  return { ...life, filled };
}

describe.concurrent('traces', () => {
  it(
    `come back into an emptied project as they were, all ${4 * TRACES} spans, and a second time nothing changes`,
    SLOW,
    async ({ expect }) => {
      const { project } = await fill(TRACES);
      const lines = await linesOf(project);
      const before = await flat(project);
      expect([before.length, lines.spans.length]).toEqual([4 * TRACES, 4 * TRACES]);
      expect(
        new Set(lines.annotations.map((line) => /"target":"([a-z]+)"/.exec(line.toString())![1])),
      ).toEqual(new Set(['span', 'document', 'trace', 'session']));
      expect(lines.notes.length).toBeGreaterThan(TRACES / 5);
      // What the flat form cannot show, and what GraphQL hides.
      const text = lines.spans.join('\n');
      expect(text).toContain('"metadata":{"empty":{},"list":[1,{"q":2}],"none":null,');
      expect(text).toContain('"generation":12345678901234567890,');
      expect(text).toContain('"vector":[0.25,1.0,-3.5e-7]');

      await clearTraces(phoenix, project, call);
      expect(contentOf(await linesOf(project))).toEqual([[], [], []]);
      expect(await findProject(phoenix, project)).toMatchObject({ description: 'of a test' });

      const imported = await importLines(project, lines);
      const restored = await linesOf(project);
      expect(contentOf(restored)).toEqual(contentOf(lines));
      expect(await flat(project)).toEqual(before);
      expect(imported).toEqual(await digestOf(lines));
      expect(await digestOf(restored)).toEqual(imported);

      expect(await importLines(project, lines)).toEqual(imported);
      expect(contentOf(await linesOf(project))).toEqual(contentOf(lines));
    },
  );

  it('become a clone beside the original, with ids and names of its own, and the original is as it was', async ({
    expect,
  }) => {
    const original = await fill(24);
    const lines = await linesOf(original.project);
    const clone = newLife();
    const rename: ClonePlan = { from: original, to: clone };
    const imported = await importLines(clone.project, lines, { rename });

    const cloned = await linesOf(clone.project);
    expect(cloned.spans.length).toBe(96);
    expect(await digestOf(cloned)).toEqual(imported);
    const text = Object.values(cloned).flat().join('\n');
    for (const old of [...original.filled.traceIds, ...original.filled.spanIds, original.incarnation])
      expect(text).not.toContain(old);
    for (const line of cloned.spans) {
      const { name, attributes } = JSON.parse(line.toString()) as SpanLine;
      expect(attributes).toMatchObject({
        tenant_id: clone.tenant,
        tenant: { id: clone.tenant },
        incarnation: clone.incarnation,
      });
      if (name !== 'search') continue;
      expect(attributes).toMatchObject({
        openinference: { project: { name: clone.project } },
        // Whatever a user wrote stays, be it a tenant's name.
        metadata: { tenant_id: original.tenant },
      });
    }
    const sessions = text.match(/"session(?:_id":|":\{"id":)"[^"]+/g)!;
    expect(sessions.filter((found) => !found.includes(`"${clone.tenant}:`))).toEqual([]);
    expect(await linesOf(original.project)).toEqual(lines);

    expect(await importLines(clone.project, lines, { rename })).toEqual(imported);
    expect(contentOf(await linesOf(clone.project))).toEqual(contentOf(cloned));
  });

  it('of one backup stay apart in two clones, also in sessions that had no prefix', async ({ expect }) => {
    const original = await fill(8);
    const lines = await linesOf(original.project);
    const shared = lines.spans.map((line) =>
      Buffer.from(line.toString().replaceAll(/"session":\{"id":"[^"]*"\}/g, '"session":{"id":"shared"}')),
    );
    const [one, two] = [newLife(), newLife()];
    const given = { spans: shared, annotations: [], notes: [] };
    await importLines(one.project, given, { rename: { from: original, to: one } });
    await importLines(two.project, given, { rename: { from: original, to: two } });
    const kept = await linesOf(two.project);
    expect(kept.spans.length).toBe(32);
    // Deletes every trace in its sessions.
    await deleteProject(phoenix, one.project);
    expect(await linesOf(two.project)).toEqual(kept);
    expect(await linesOf(original.project)).toEqual(lines);
  });

  it('are not put beside the original with its ids: neither spans nor what is said of them', async ({
    expect,
  }) => {
    const original = await fill(4);
    const lines = await linesOf(original.project);
    const other = newLife();
    await expect(importLines(other.project, lines)).rejects.toMatchObject({ type: 'Conflict' });
    await expect(importLines(other.project, { ...lines, spans: [] })).rejects.toMatchObject({
      type: 'VerificationFailed',
    });
    const onTraces = lines.annotations.filter((line) => line.includes('"target":"trace"'));
    await expect(
      importLines(other.project, { spans: [], annotations: onTraces, notes: [] }),
    ).rejects.toMatchObject({ type: 'Conflict' });
    expect(await linesOf(other.project)).toEqual({ spans: [], annotations: [], notes: [] });
    expect(await linesOf(original.project)).toEqual(lines);
  });

  it('that are deleted while they are read end in an error, not short', async ({ expect }) => {
    const { project, filled } = await fill(20);
    const traces = (await exportTraces(phoenix, project, call))!;
    const read = async () => {
      for await (const line of traces.lines('spans')) {
        if (line.includes(filled.spanIds[0]!))
          await phoenix.send('DELETE', `/v1/spans/${filled.spanIds.at(-2)!}`);
      }
    };
    await expect(read()).rejects.toMatchObject({ type: 'Unavailable' });
    // A new export is of what there is now.
    expect((await linesOf(project)).spans.length).toBe(79);
    expect(await exportTraces(phoenix, 'nobodys_project', call)).toBeNull();
  });

  it('that are stopped at any step and sent again end the same', async ({ expect }) => {
    const { project } = await fill(8);
    const lines = await linesOf(project);
    await clearTraces(phoenix, project, call);
    let stops = 0;
    for (let done = false; !done; stops++) {
      const stopping = new StoppingPhoenix(url, stops);
      done = await importLines(project, lines, { signal: stopping.signal }, stopping).then(
        () => true,
        (error: Error) => {
          expect(error.name).toBe('AbortError');
          return false;
        },
      );
    }
    // To see what is there, to send spans, to see them stored, and the same for annotations and notes.
    expect(stops).toBeGreaterThan(6);
    expect(contentOf(await linesOf(project))).toEqual(contentOf(lines));
  });

  it('get in through a Phoenix that has no room for every second call', async ({ expect }) => {
    const { project } = await fill(10);
    const lines = await linesOf(project);
    await clearTraces(phoenix, project, call);
    const proxy = new CountingProxy(url);
    let calls = 0;
    proxy.refuse = () => (++calls % 2 === 1 ? { status: 503, message: 'at capacity' } : undefined);
    try {
      await importLines(project, lines, {}, new PhoenixClient(await proxy.listen()));
    } finally {
      await proxy.close();
    }
    expect(calls).toBeGreaterThan(10);
    expect(contentOf(await linesOf(project))).toEqual(contentOf(lines));
  });
});

it('traces get in though Phoenix is killed with spans that it had accepted', SLOW, async () => {
  const { project } = await fill(40);
  const lines = await linesOf(project);
  await clearTraces(phoenix, project, call);
  let killed = false;
  const heartbeat = () => {
    if (killed) return;
    killed = true;
    process.kill(readRecords(inject('stack').home)['phoenix']!.identity.pid, 'SIGKILL');
  };
  const imported = await importLines(project, lines, { heartbeat });
  expect(killed).toBe(true);
  const restored = await linesOf(project);
  expect(contentOf(restored)).toEqual(contentOf(lines));
  expect(await digestOf(restored)).toEqual(imported);
});
