import type { Client } from '@temporalio/client';
import { ENTITIES, WORKFLOWS, type WorkflowRule } from '../domain/access.js';
import { type TenantId, parseTenantId } from '../domain/ids.js';
import { TASK_QUEUES, workflowIds } from '../domain/naming.js';
import { type ChainRow, accessSince, findChain, noteChain, scheduleOwner } from '../registry/access.js';
import type { Pool } from '../registry/database.js';
import type { KeyRing } from './keys.js';
import { type Denial, denialOf } from './principal.js';
import { type Presented, type Proof, digestOf, verifyProof } from './proofs.js';
import { forgedIn, namedIn } from './scope.js';
import { type VerifiedToken, verifyToken } from './tokens.js';
import { type RunOf, type WorkflowStart, readWorkflowStart } from './workflowStart.js';

export interface AdmissionParts {
  readonly pool: Pool;
  readonly client: Client;
  readonly keys: KeyRing;
  readonly audience: string;
  /** Of Vespa: it has one writer. */
  readonly cluster: string;
  isRevoked(token: string): Promise<boolean>;
}

/** Nobody's work: what is refused, with what is known of who asked. */
export class Refused extends Error {
  constructor(
    readonly denial: Denial,
    /** Names the refusal: it is told once. */
    readonly what: string,
    readonly about: {
      readonly subject: string;
      readonly tenant: string | undefined;
      readonly token?: string | undefined;
    },
  ) {
    super(denial.why);
  }
}

/** A parent's parent's parent: deeper than any of ours. */
const MAX_DEPTH = 4;
const UNKNOWN = { subject: 'unknown', tenant: undefined };
const HINT = 'start it with the command or the client, with CVOPS_TOKEN set';

/**
 * For whom a run works. Decided once for a chain of runs, by how its first one began in the server's own record: by a
 * credential that was meant for just it, by a schedule that had one, or as the child of one that was let in.
 *
 * @throws Refused
 */
export async function admit(parts: AdmissionParts, run: RunOf, depth = 0): Promise<ChainRow> {
  const start = await readWorkflowStart(parts.client, run);
  if (start === undefined) throw new Refused(no('its run is not there any more'), run.runId, UNKNOWN);
  // Workflow code of somebody else's could ask our activities for anything.
  if (start.taskQueue !== TASK_QUEUES.control)
    throw new Refused(no(`it runs on the task queue ${start.taskQueue}`), start.firstRunId, UNKNOWN);
  const known = await findChain(parts.pool, start.firstRunId);
  if (known !== undefined) return known;

  const first =
    start.firstRunId === run.runId
      ? start
      : await readWorkflowStart(parts.client, { ...run, runId: start.firstRunId });
  if (first === undefined)
    throw new Refused(no('its first run is not there any more'), start.firstRunId, UNKNOWN);
  const chain = await chainOf(parts, first, depth);
  if (await noteChain(parts.pool, chain)) return chain;
  throw new Refused(no('its proof was used by another one'), first.firstRunId, aboutOf(chain, first));
}

function chainOf(parts: AdmissionParts, first: WorkflowStart, depth: number): Promise<ChainRow> | ChainRow {
  if (isEntity(first, parts.cluster))
    return { ...chain(first), subject: 'system', role: 'system', tenant: null, tenants: null };
  if (first.parent !== undefined) return ofParent(parts, first, first.parent, depth);
  if (first.shown === undefined) return ofBefore(parts, first);
  return ofCredential(parts, first, first.shown);
}

/** One for everybody, whoever started it: it does what the registry has, under the one id that it has. */
function isEntity({ type, workflowId }: WorkflowStart, cluster: string): boolean {
  if (type === ENTITIES.application) return workflowId === workflowIds.vespaApplication(cluster);
  return type === ENTITIES.alerts && workflowId === workflowIds.alertDelivery;
}

/** What a workflow of ours starts, it starts for whom it works itself. */
async function ofParent(
  parts: AdmissionParts,
  first: WorkflowStart,
  parent: RunOf,
  depth: number,
): Promise<ChainRow> {
  const above = depth < MAX_DEPTH ? await admit(parts, parent, depth + 1) : undefined;
  if (above === undefined || !ruleOf(above.workflowType).children?.includes(first.type))
    throw new Refused(no(`no workflow of ours starts a ${first.type} there`), first.firstRunId, UNKNOWN);
  const { token, subject, role, tenant } = above;
  if (token !== null && (await parts.isRevoked(token)))
    throw new Refused(no('the token was revoked'), first.firstRunId, aboutOf(above, first));
  return { ...chain(first), token, subject, role, tenant, tenants: scopeOf(first, tenant) };
}

/** Begun before this version was installed: by the server's clock, which nobody sets back. */
async function ofBefore({ pool }: AdmissionParts, first: WorkflowStart): Promise<ChainRow> {
  if (first.at >= (await accessSince(pool)))
    throw new Refused(no('it carries no credential'), first.firstRunId, {
      ...UNKNOWN,
      tenant: namedIn(first.args).tenants[0],
    });
  const subject = 'system/before-access';
  return { ...chain(first), subject, role: 'system', tenant: null, tenants: scopeOf(first, null) };
}

async function ofCredential(
  parts: AdmissionParts,
  first: WorkflowStart,
  shown: Presented,
): Promise<ChainRow> {
  const named = namedIn(first.args);
  const [firstTenant] = named.tenants;
  const unknown = { subject: 'unknown', tenant: firstTenant };
  const refuse = (why: string, token?: VerifiedToken) =>
    new Refused(
      no(why),
      first.firstRunId,
      token ? { subject: token.subject, tenant: foreign(token, named.tenants), token: token.token } : unknown,
    );
  let token: VerifiedToken;
  let proof: Proof;
  try {
    token = await verifyToken(shown.token, {
      keys: await parts.keys.current(),
      audience: parts.audience,
      at: null,
    });
    proof = await verifyProof(shown.proof, token);
  } catch (error) {
    throw refuse((error as Error).message);
  }
  // A schedule goes on when the token that made it has expired, as it would if its maker had left.
  if (proof.for === 'start' && token.expiresAt <= first.at) throw refuse('the token has expired', token);
  if (await parts.isRevoked(token.token)) throw refuse('the token was revoked', token);
  if (!fits(proof, first)) throw refuse('its proof is about something else', token);

  const schedule = proof.for === 'schedule' ? proof.schedule : undefined;
  if (schedule !== undefined && token.role !== 'system') {
    if (!ruleOf(first.type).scheduled) throw refuse(`no schedule of a tenant starts a ${first.type}`, token);
    const owner = await scheduleOwner(parts.pool, schedule);
    if (owner === undefined || named.tenants.some((tenant) => tenant !== owner))
      throw refuse('by the registry there is no such schedule', token);
  }
  const denial = startDenial(token, first, named);
  if (denial !== undefined)
    throw new Refused(denial, first.firstRunId, {
      subject: token.subject,
      tenant: foreign(token, named.tenants),
      token: token.token,
    });
  if (token.role !== 'system') {
    const forged = await forgedIn(parts.pool, token, named);
    if (forged !== undefined) throw refuse(forged.why, token);
  }
  const { role, tenant = null } = token;
  return {
    ...chain(first),
    proof: schedule === undefined ? proof.jti : null,
    token: ruleOf(first.type).outlives ? null : token.token,
    subject: schedule === undefined ? token.subject : `system/${schedule}`,
    role,
    tenant,
    tenants: scopeOf(first, tenant),
  };
}

/** The own key of a name that anybody may choose. */
function ruleOf(type: string): WorkflowRule {
  return Object.hasOwn(WORKFLOWS, type) ? WORKFLOWS[type]! : {};
}

function fits(proof: Proof, first: WorkflowStart): boolean {
  if (proof.args !== digestOf(first.args)) return false;
  switch (proof.for) {
    case 'message':
      return false;
    case 'start':
      return proof.workflow === first.workflowId && proof.type === first.type;
    case 'schedule':
      // What a schedule starts has its id.
      return (
        proof.type === first.type &&
        proof.workflow === proof.schedule &&
        isRunOf(proof.schedule, first.workflowId)
      );
  }
}

/** The server names the runs of a schedule by the second of their time. */
function isRunOf(action: string, workflowId: string): boolean {
  return (
    workflowId.startsWith(`${action}-`) &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(workflowId.slice(action.length + 1))
  );
}

/** Role, verb and tenant of a start. */
function startDenial(
  token: VerifiedToken,
  { type, workflowId, args }: WorkflowStart,
  { tenants, everybody }: ReturnType<typeof namedIn>,
): Denial | undefined {
  const { verb, system, at, namesOwner, unnamed } = ruleOf(type);
  if (token.role === 'system') return system ? undefined : no(`the system does not start a ${type}`);
  if (verb === undefined) return no(`nobody starts a ${type}`);
  const denial = denialOf(token, verb, tenants) ?? misplaced(at, workflowId, args);
  const { tenant: own } = token;
  if (denial !== undefined || own === undefined) return denial;
  if (everybody || tenants.length === 0) return no(`a principal of tenant ${own} has no part in this`);
  // Its id would keep another tenant's own operation from starting.
  if (!unnamed && !workflowId.startsWith(`tenant/${own}/`))
    return no('its workflow id is not one of its tenant');
  const { principalTenant } = (args[0] ?? {}) as { principalTenant?: unknown };
  if (namesOwner && principalTenant !== own) return no('its input does not say for which tenant it is asked');
  return undefined;
}

/** Beside the one that is asked for consent, a second run would have the answer as well. */
function misplaced(
  at: WorkflowRule['at'],
  workflowId: string,
  args: WorkflowStart['args'],
): Denial | undefined {
  const { tenant } = (args[0] ?? {}) as { tenant?: unknown };
  if (at === undefined || (typeof tenant === 'string' && isTenant(tenant) && workflowId === at(tenant)))
    return undefined;
  return no('its workflow id is not the one of its kind');
}

/** What its activities may name: what it was started for. */
function scopeOf({ args }: WorkflowStart, own: TenantId | null): readonly string[] | null {
  const { tenant, tenants } = (args[0] ?? {}) as { tenant?: unknown; tenants?: unknown };
  if (typeof tenant === 'string') return [tenant];
  if (Array.isArray(tenants)) return tenants.map(String);
  return own === null ? null : [own];
}

function chain({ firstRunId, workflowId, type }: WorkflowStart) {
  return { firstRun: firstRunId, workflowId, workflowType: type, proof: null, token: null };
}

function aboutOf({ subject, token }: Pick<ChainRow, 'subject' | 'token'>, { args }: WorkflowStart) {
  return { subject, tenant: namedIn(args).tenants[0], token: token ?? undefined };
}

/** Whom an audit entry is about: the tenant that had no business there, if one was named. */
export function foreign(
  { tenant }: Pick<VerifiedToken, 'tenant'>,
  named: readonly string[],
): string | undefined {
  return named.find((each) => each !== tenant && isTenant(each)) ?? named.find(isTenant);
}

export function isTenant(text: string | undefined): text is TenantId {
  try {
    parseTenantId(text);
    return true;
  } catch {
    return false;
  }
}

function no(why: string): Denial {
  return { why, hint: HINT };
}
