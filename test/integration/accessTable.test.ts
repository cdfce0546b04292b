import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { CvopsClient } from '../../src/client/index.js';
import { EXIT } from '../../src/cli/output.js';
import { VERBS, type Verb } from '../../src/domain/access.js';
import { FAILURES } from '../../src/domain/errors.js';
import { parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { projectRoot } from '../../src/projectRoot.js';
import { auditHead } from '../../src/registry/audit.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { findOperation } from '../../src/registry/operations.js';
import { type Called, command, hasOption, hostCommands } from '../support/access/commandTree.js';
import {
  type AccessTable,
  type Column,
  COLUMNS,
  accessDocument,
  decidedTable,
  verbs,
} from '../support/access/table.js';
import { type Things, TRIES } from '../support/access/tries.js';
import { copiedKeys, everythingOf, openAlert, thingsOf } from '../support/access/world.js';
import { cvopsWith, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { tokenOf } from '../support/principals.js';

const DENIED = FAILURES.PermissionDenied.exitCode;
const [own, other, third] = ['own', 'other', 'third'].map((what) => parseTenantId(freshTenant(what))) as [
  ReturnType<typeof parseTenantId>,
  ReturnType<typeof parseTenantId>,
  ReturnType<typeof parseTenantId>,
];

/** Exit codes of the plans of what cannot be done to `other`: it is active, has no schedules, and nothing of it runs. */
const REFUSED: Readonly<Partial<Record<Verb, number>>> = {
  ...{ 'tenant create': 6, 'tenant extend': 6, 'tenant reactivate': 6 },
  ...{ 'op pause': 6, 'op resume': 6, 'op concurrency': 6, 'op cancel': 6 },
  ...{ 'watch pause': 5, 'watch resume': 5, 'watch run': 5, 'watch remove': 5 },
  ...{ 'memory schedule remove': 5, 'memory import': 5, 'backup release': 6 },
  // Of the pair one is purged by then.
  'isolation verify': 6,
  ...{ 'template remove': 5, 'schema drop': 5, 'token revoke': 5 },
  ...{ 'approval grant': 5, 'approval refuse': 5 },
};

interface Asker {
  readonly subject: string;
  readonly token: string;
}

let pool: Pool;
let admin: CvopsClient;
let things: { readonly own: Things; readonly other: Things; readonly third: Things };
/** What was observed, verb by verb. */
const observed = Object.fromEntries(verbs.map((verb) => [verb, {}])) as Record<Verb, Record<string, string>>;

const askerOf = async (column: Column): Promise<Asker> => {
  const { role } = COLUMNS[column];
  const subject = `${column}: ${own}`;
  const tenant = column === 'admin' ? {} : { tenant: own };
  return { subject, token: await tokenOf(inject('stack').home, { role, subject, ...tenant }) };
};

beforeAll(async () => {
  const settings = stackSettings();
  pool = openPool(settings.databaseUrl, { max: 2, name: 'tests' });
  admin = await CvopsClient.connect(settings);
  hostCommands({
    ...{ CVOPS_HOME: settings.home, CVOPS_TRACE_OPERATIONS: 'off', ...inject('s3') },
    CVOPS_SOURCE_PLACES: inject('sourcePlaces'),
    ...(await copiedKeys()),
  });
  things = {
    own: await thingsOf(own, other),
    other: await thingsOf(other, third, third),
    third: await thingsOf(third, other),
  };
  const maker = await askerOf('admin');
  const make = async (of: Things, ...made: readonly Verb[]): Promise<void> => {
    for (const verb of made) expect([verb, await tried(maker, verb, of)]).toEqual([verb, 'yes']);
  };
  await Promise.all([
    make(things.own, 'tenant create'),
    make(things.other, 'tenant create', 'memory add', 'backup create'),
  ]);
  Object.assign(things.other, { ingest: things.other.operation, drill: things.other.operation });
});
afterAll(async () => {
  await admin?.close();
  await pool?.end();
});

interface Entry {
  readonly seq: number;
  readonly verb: string;
  readonly outcome: string;
}

/** The audit log's entries of what one did and was refused, in order, without the ends of operations begun before `since`. */
async function entriesOf({ subject }: Asker, since: number): Promise<Entry[]> {
  const { rows } = await pool.query<Entry>(
    `select seq, verb, outcome from audit_log new where principal = $1 and seq > $2 and not exists
       (select from audit_log old where old.operation = new.operation and old.verb = new.verb and old.seq <= $2)
     order by seq`,
    [subject, since],
  );
  return rows;
}

/** What came of one try, as the table says it; anything else is what was wrong. */
async function tried(asker: Asker, verb: Verb, of: Things, ...more: readonly string[]): Promise<string> {
  const { args, exits = [EXIT.done], keep, idle } = TRIES[verb];
  const { seq } = await auditHead(pool);
  const { code, out, err } = await command(asker.token, [...args(of), ...more]);
  if (code === EXIT.done && args(of).includes('--no-wait'))
    await isBegun((JSON.parse(out) as { operation: string }).operation);
  const entries = await entriesOf(asker, seq);
  const told = entries.flatMap(({ verb, outcome }) => (outcome === 'denied' ? [verb] : []));
  if (code === DENIED) {
    // One that comes to another one with an option is refused as the plain one by who may not even that, and a plan may be
    // a look that reads alone.
    const isIts = [verb, verb.replace(/ --.*/, '')].includes(told[0]!) || more.includes('--dry-run');
    const isTold = told.length === 1 && isIts;
    return isTold && errorOf({ code, stdout: out, stderr: err }).code === 'PermissionDenied'
      ? '-'
      : `exit 4, told as ${JSON.stringify(told)}: ${err}`;
  }
  if (!exits.includes(code) || told.length > 0)
    return `exit ${code}, told as ${JSON.stringify(told)}: ${err}`;
  const changed = code === EXIT.done && VERBS[verb].changes && !idle && !more.includes('--dry-run');
  if (changed && entries.length === 0) return `exit ${code}, and the audit log says nothing of it`;
  if (code === EXIT.done) keep?.(of, JSON.parse(out) as Parameters<typeof keep>[1]);
  return verb === 'tenant list' && !listsAsDue(out, asker, of) ? `lists ${out}` : 'yes';
}

/** An operation is somebody's from its first step on. */
async function isBegun(operation: string): Promise<void> {
  await vi.waitFor(async () => expect(await findOperation(pool, parseOperationId(operation))).toBeDefined(), {
    timeout: 30_000,
  });
}

function listsAsDue(out: string, { subject }: Asker, { tenant }: Things): boolean {
  const listed = (JSON.parse(out) as { tenants: { tenant: string }[] }).tenants.map((each) => each.tenant);
  return subject.startsWith('admin') ? listed.includes(tenant) : listed.join() === own;
}

async function column(name: Column, of: Things): Promise<void> {
  const asker = await askerOf(name);
  const isAnothers = COLUMNS[name].whose === 'another' && name !== 'admin';
  // In the order in which they are written there: what later ones need is there then.
  for (const verb of Object.keys(TRIES) as Verb[]) {
    if (verb === 'alert silence') of.alert ||= await openAlert(pool, of.tenant);
    const cell = await tried(asker, verb, of);
    // What would be done is as little for whoever may not do it.
    const isRefusedMuch = isAnothers || COLUMNS[name].role === 'reader';
    const plan = isRefusedMuch && canPlan(verb, of) ? await tried(asker, verb, of, '--dry-run') : cell;
    const seen = plan === cell ? cell : `${cell}, but --dry-run: ${plan}`;
    observed[verb][name] = isAnothers && verb === 'tenant list' && seen === 'yes' ? 'own only' : seen;
  }
}

function canPlan(verb: Verb, of: Things): boolean {
  const args = TRIES[verb].args(of);
  return !args.includes('--dry-run') && hasOption(args, '--dry-run');
}

/** What a column differs in from what is decided. */
function differences(name: Column): string[] {
  const decided = decidedTable();
  return verbs.flatMap((verb) =>
    observed[verb][name] === decided[verb][name]
      ? []
      : [`${verb} by ${name}: ${observed[verb][name]}, not ${decided[verb][name]}`],
  );
}

test('whoever may, does all of it: an administrator, and an operator with its own tenant', async () => {
  await Promise.all([column('admin', things.third), column('operator, own', things.own)]);
  expect([...differences('admin'), ...differences('operator, own')]).toEqual([]);
});

test('a reader reads its own, and nobody of one tenant gets anything of another, nor changes it', async () => {
  things.other.alert = await openAlert(pool, other);
  const before = await everythingOf(pool, admin, other);
  await Promise.all([
    column('reader, own', things.own),
    column('reader, another', things.other),
    column('operator, another', things.other),
  ]);
  const names = ['reader, own', 'reader, another', 'operator, another'] as const;
  expect(names.flatMap(differences)).toEqual([]);
  expect(await everythingOf(pool, admin, other)).toEqual(before);
});

test('whoever may do something is told what it would be, and nothing is changed by that', async () => {
  const { other: of } = things;
  const subject = `planner: ${own}`;
  const token = await tokenOf(inject('stack').home, { role: 'admin', subject });
  const everything = async () => {
    const { shown, ...all } = await everythingOf(pool, admin, other);
    return {
      ...all,
      // To count the memories that would go is a call as any other.
      shown: { ...shown, quotas: { ...shown.quotas, api_calls: null } },
      tokens: (await admin.tokens.list()).filter(({ issuedBy }) => issuedBy === subject),
      policies: (await admin.approvals.policies()).filter(({ tenant }) => tenant === other),
      keys: (await command(token, ['token', 'rotate-key', '--dry-run'])).out,
    };
  };
  const before = await everything();
  const refusals: Record<string, number> = {};
  for (const verb of verbs) {
    // A diagnosis opens and resolves alerts, whether or not anything is to be repaired.
    if (!VERBS[verb].changes || !canPlan(verb, of) || verb === 'diagnose --repair') continue;
    const { code, out } = await command(token, [...TRIES[verb].args(of), '--dry-run']);
    if (code === EXIT.done) expect(JSON.parse(out), verb).toMatchObject({ dryRun: true });
    else refusals[verb] = code;
  }
  // As the change would be: what they name is not there, or not in the state for it.
  expect(refusals).toEqual(REFUSED);
  expect(await everything()).toEqual(before);
  for (const log of ['audit_log', 'operations']) {
    const { rows } = await pool.query(`select * from ${log} where principal = $1`, [subject]);
    expect(rows, log).toEqual([]);
  }
});

test('no worker has refused what the command let begin', async () => {
  const { rows } = await pool.query<{ operation: string }>(
    `select operation from operations where principal = any($1) and error->>'code' = 'PermissionDenied'`,
    [[`admin: ${own}`, `operator, own: ${own}`]],
  );
  expect(rows).toEqual([]);
});

test('a process of its own ends as the command did in this one', async () => {
  const { token } = await askerOf('operator, another');
  const both = async (verb: Verb): Promise<[Called, Called]> => {
    const args = TRIES[verb].args(things.other);
    const { code, stdout: out, stderr: err } = await cvopsWith({ CVOPS_TOKEN: token }, ...args, '-o', 'json');
    return [await command(token, args), { code: code!, out, err }];
  };
  for (const verb of ['tenant show', 'backup verify', 'op cancel'] as const) {
    const [here, there] = await both(verb);
    expect(there).toEqual({ ...here, code: DENIED });
  }
});

test('docs/access-table.md says just this; if not: npm run docs:access', async () => {
  const file = path.join(projectRoot, 'docs', 'access-table.md');
  const document = accessDocument(observed as AccessTable);
  if (process.env['CVOPS_WRITE_ACCESS_TABLE']) await writeFile(file, document);
  expect(await readFile(file, 'utf8')).toBe(document);
});
