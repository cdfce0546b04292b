import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toOpsError } from '../../src/client/failures.js';
import type { RestoreTenantInput } from '../../src/contracts/backupOperations.js';
import type { CreateTenantInput, SchemaChangeRequest } from '../../src/contracts/tenants.js';
import { backupId } from '../../src/domain/backups.js';
import { parseIncarnation, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { TEMPLATES } from '../../src/domain/templates.js';
import { restoreTenant } from '../../workflows/restoreTenant.js';
import {
  type Answers,
  Play,
  Stage,
  cancelIn,
  currentDetails,
  forGood,
  gate,
  operationState,
} from '../support/stage.js';

const BASES = ['video_colpali_smol500_mv_frame', 'agent_memories'] as const;
const TENANT = 'acme_corp';
/** The restore that a new life is made for. */
const MADE_FOR = parseOperationId(randomUUID());

function plan(how: 'create' | 'fill' | 'replace') {
  return {
    plan: {
      ...{ tenant: TENANT, backup: 'b', from: TENANT, how, renames: how === 'create', schemas: BASES },
      ...{ documents: 20, memories: 5, spans: 7, configVersions: 2, loses: { documents: 0, spans: 0 } },
    },
    incarnation: parseIncarnation(randomUUID()),
    create: null as CreateTenantInput | null,
    bases: BASES,
    opens: true,
  };
}
function creation() {
  const decided = plan('create');
  const create: CreateTenantInput = {
    ...{
      tenant: parseTenantId(TENANT),
      incarnation: decided.incarnation,
      template: 'enterprise',
      reason: '',
    },
    ...{ values: TEMPLATES['enterprise']!, profiles: [BASES[0]], cluster: 'test', principal: 'tester' },
    ...{ operation: parseOperationId(randomUUID()), restore: MADE_FOR },
  };
  return { ...decided, create };
}

const defaults = {
  beginRestore: () => plan('fill'),
  checkBeforeRestore: () => ({ parts: 9, bytes: 99 }),
  raiseFence: () => ({ from: '2026-11-28T15:45:00+00:00' }),
  awaitWriters: () => undefined,
  renewFence: () => ({ held: true }),
  lowerFence: () => undefined,
  closeForRestore: () => undefined,
  schemasThere: () => BASES,
  reserveSchemas: () => undefined,
  requestSchemaChange: ({ request }: { request: SchemaChangeRequest }): Promise<void> =>
    stage.schemasChange(request),
  emptySchema: () => ({ removed: 3 }),
  clearTraces: () => undefined,
  restoreRegistry: () => ({ versions: 2, videos: 3 }),
  restoreDocuments: () => ({ documents: 20 }),
  compareDocuments: () => ({ documents: 20 }),
  restoreTraces: () => ({ spans: 7 }),
  finishRestore: ({ opens }: { opens: boolean }) => ({ state: opens ? 'active' : 'inactive' }),
  failRestore: () => undefined,
  beginCreate: () => ({ bases: BASES, memoryEnabled: false }),
  writeInitialConfig: () => undefined,
  ensurePhoenixProject: () => undefined,
  verifyTenant: () => undefined,
  activate: (key: { restore?: string }) => ({
    ...key,
    state: key.restore ? 'inactive' : 'active',
    schemas: [],
  }),
  removeConfig: () => undefined,
  schemasToRemove: () => BASES,
  releaseSchemas: () => undefined,
  deletePhoenixProject: () => undefined,
  failCreate: () => undefined,
} satisfies Answers;

const stage: Stage = new Stage(Object.keys(defaults));
beforeAll(() => stage.start());
afterAll(() => stage.stop());

interface Asked {
  readonly own?: Answers;
  readonly before?: Play['before'];
  readonly input?: Partial<RestoreTenantInput>;
}
let tenants = 0;

async function begin({ own = {}, before, input: more = {} }: Asked = {}) {
  const play = new Play(defaults, own);
  if (before) play.before = before;
  const input: RestoreTenantInput = {
    tenant: parseTenantId(`${TENANT}_${++tenants}`),
    operation: parseOperationId(randomUUID()),
    incarnation: parseIncarnation(randomUUID()),
    backup: backupId(new Date(), randomBytes(4).toString('hex')),
    ...{ replace: false, preview: false, cluster: 'test', principal: 'tester', reason: '', ...more },
  };
  // A creation asks with the tenant alone.
  stage.plays.set(input.tenant, play);
  const handle = await stage.client.workflow.start(restoreTenant, {
    ...{ workflowId: `test/${randomUUID()}`, taskQueue: TASK_QUEUES.control, args: [input] },
  });
  return { play, input, handle, ended: () => handle.result().catch((error: unknown) => toOpsError(error)) };
}
/** Creates the very tenant that is asked for. */
const creating = ({ tenant }: RestoreTenantInput) => {
  const decided = creation();
  return { ...decided, create: { ...decided.create, tenant } };
};

const CLOSE = ['raiseFence', 'awaitWriters', 'closeForRestore'];
const DATA = [
  'restoreRegistry',
  ...BASES.flatMap(() => ['restoreDocuments', 'compareDocuments']),
  ...['restoreTraces', 'finishRestore', 'lowerFence'],
];
const FILL = ['beginRestore', 'checkBeforeRestore', ...CLOSE, 'schemasThere', ...DATA];
const EMPTY = ['schemasThere', ...BASES.map(() => 'emptySchema'), 'clearTraces'];
const REPLACE = ['beginRestore', 'checkBeforeRestore', ...CLOSE, 'schemasThere', ...EMPTY, ...DATA];
const CREATE = [
  ...['beginCreate', 'writeInitialConfig', 'reserveSchemas', 'requestSchemaChange', 'ensurePhoenixProject'],
  ...['verifyTenant', 'activate'],
];
const replacing = { own: { beginRestore: () => plan('replace') } };

describe.concurrent('restoreTenant', () => {
  test('verifies all, closes, restores, reads back, and opens last', async ({ expect }) => {
    const { play, handle, ended } = await begin();
    expect(await ended()).toMatchObject({ state: 'active', how: 'fill', documents: 20 });
    expect(play.calls).toEqual(FILL);
    expect(await operationState(handle)).toBe('completed');
    expect(await currentDetails(handle)).toContain('- [x] verification: 9 parts, 99 bytes');
  });

  test('over what there is: everything is taken away before anything is put there', async ({ expect }) => {
    const { play, ended } = await begin(replacing);
    expect(await ended()).toMatchObject({ state: 'active', how: 'replace' });
    expect(play.calls).toEqual(REPLACE);
  });

  test('schemas the tenant has beside those of the backup are emptied too', async ({ expect }) => {
    const emptied: string[] = [];
    const { ended } = await begin({
      own: {
        beginRestore: () => plan('replace'),
        schemasThere: () => [...BASES, 'video_colqwen_omni_mv_chunk_30s'],
        emptySchema: ({ base }: { base: string }) => (emptied.push(base), { removed: 0 }),
      },
    });
    await ended();
    expect(emptied).toEqual([...BASES, 'video_colqwen_omni_mv_chunk_30s']);
  });

  test('schemas the tenant lacks are added, when it is closed', async ({ expect }) => {
    const added: unknown[] = [];
    const { play, ended } = await begin({
      own: {
        schemasThere: () => [BASES[0]],
        requestSchemaChange: ({ request }: { request: SchemaChangeRequest }) => {
          added.push(request.add);
          return stage.schemasChange(request);
        },
      },
    });
    expect(await ended()).toMatchObject({ state: 'active' });
    expect(added).toEqual([['agent_memories']]);
    const at = (call: string) => play.calls.indexOf(call);
    expect(at('closeForRestore')).toBeLessThan(at('reserveSchemas'));
    expect(at('requestSchemaChange')).toBeLessThan(at('restoreDocuments'));
  });

  test('a new life is made closed, and is nobody’s to open before all is there', async ({ expect }) => {
    const madeFor: unknown[] = [];
    const wasOpen: unknown[] = [];
    const { play, ended } = await begin({
      own: {
        beginRestore: creating,
        activate: (key: { restore?: string }) => (madeFor.push(key.restore), defaults.activate(key)),
        closeForRestore: (key: { wasOpen: boolean }) => void wasOpen.push(key.wasOpen),
      },
    });
    expect(await ended()).toMatchObject({ state: 'active', how: 'create' });
    expect([madeFor, wasOpen]).toEqual([[MADE_FOR], [false]]);
    expect(play.calls).toEqual(['beginRestore', 'checkBeforeRestore', ...CREATE, ...CLOSE, ...DATA]);
  });

  test('a new life that cannot be made: undone by its own operation, and the restore has its reason', async ({
    expect,
  }) => {
    const { play, ended } = await begin({
      own: { beginRestore: creating },
      before: (call) => {
        if (call === 'ensurePhoenixProject') throw forGood('Phoenix refuses');
      },
    });
    expect(await ended()).toMatchObject({ type: 'Rejected', message: 'Phoenix refuses' });
    expect(play.calls).toContain('failCreate failed Rejected: Phoenix refuses');
    expect(play.calls.at(-1)).toBe('failRestore failed Rejected: Phoenix refuses');
    for (const call of CLOSE) expect(play.calls).not.toContain(call);
  });

  test('a tenant that was closed stays closed', async ({ expect }) => {
    const { ended } = await begin({ own: { beginRestore: () => ({ ...plan('fill'), opens: false }) } });
    expect(await ended()).toMatchObject({ state: 'inactive' });
  });

  test('a preview calls nothing that writes', async ({ expect }) => {
    const { play, handle, ended } = await begin({ ...replacing, input: { preview: true } });
    expect(await ended()).toMatchObject({ state: 'previewed', how: 'replace' });
    expect(play.calls).toEqual(['beginRestore']);
    expect(await operationState(handle)).toBe('completed');
  });

  test('a preview that is refused has nothing to end', async ({ expect }) => {
    const { play, ended } = await begin({
      input: { preview: true },
      before: () => {
        throw forGood('no');
      },
    });
    expect(await ended()).toMatchObject({ type: 'Rejected', message: 'no' });
    expect(play.calls).toEqual(['beginRestore']);
  });

  test.each([...new Set(REPLACE.slice(0, -1))])(
    '%s fails for good: nothing after it, never opened, and the fence is lowered',
    async (step) => {
      const message = `${step} is broken`;
      const { play, handle, ended } = await begin({
        ...replacing,
        before: (call) => {
          if (call === step) throw forGood(message);
        },
      });
      expect(await ended()).toMatchObject({ type: 'Rejected', message, hint: 'do this' });
      const lowered = step === 'beginRestore' ? [] : ['lowerFence'];
      const done = REPLACE.slice(0, REPLACE.indexOf(step) + 1);
      expect(play.calls).toEqual([...done, ...lowered, `failRestore failed Rejected: ${message}`]);
      expect(await operationState(handle)).toBe('failed');
    },
  );

  test.each([...new Set(REPLACE.slice(1, -2))])(
    'cancelled in %s: the step ends, nothing after it, the fence is lowered',
    async (step) => {
      const hold = gate();
      const { play, handle, ended } = await begin({
        own: { beginRestore: async () => (await hold.pass(), plan('replace')) },
      });
      const cancelled = cancelIn(handle, play, step);
      hold.open();
      await cancelled;
      await ended();
      expect((await handle.describe()).status.name).toBe('CANCELLED');
      expect(play.calls).toEqual([
        ...REPLACE.slice(0, REPLACE.indexOf(step) + 1),
        ...['lowerFence', 'failRestore cancelled Conflict: the restore was cancelled'],
      ]);
      expect(await operationState(handle)).toBe('cancelled');
    },
  );

  test('cancelled when it is opened: it is done, and says so', async ({ expect }) => {
    const hold = gate();
    const { play, handle, ended } = await begin({
      own: { beginRestore: async () => (await hold.pass(), plan('fill')) },
    });
    const cancelled = cancelIn(handle, play, 'finishRestore');
    hold.open();
    await cancelled;
    expect(await ended()).toMatchObject({ state: 'active' });
    expect(play.calls).toEqual(FILL);
  });
});
