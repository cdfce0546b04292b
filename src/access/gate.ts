import type { Client } from '@temporalio/client';
import { UPDATES } from '../domain/access.js';
import type { TenantId } from '../domain/ids.js';
import { type ChainRow, noteDenial, noteMessage, revokedTokens } from '../registry/access.js';
import type { Pool } from '../registry/database.js';
import { type AdmissionParts, Refused, admit, foreign, isTenant } from './admission.js';
import type { KeyRing } from './keys.js';
import { denialOf, denied } from './principal.js';
import { digestOf, presented, verifyProof } from './proofs.js';
import { forgedIn, namedIn } from './scope.js';
import { verifyToken } from './tokens.js';
import type { RunOf } from './workflowStart.js';

/** How long a revoked token may still be believed, at most. */
const REVOCATION_MS = 5_000;
/** Runs remembered: more than a worker has in hand. */
const REMEMBERED = 5_000;

/**
 * What brings to an end what was begun, undoing it where it must. A chain whose token was revoked meanwhile still has these:
 * its operation would else be open for ever, its tenant closed, and half of what it made nobody's.
 */
const ENDINGS: ReadonlySet<string> = new Set([
  ...['failCreate', 'failBackup', 'failVerify', 'failRestore', 'failDrill', 'failPrune', 'failMemory'],
  ...['failOptimize', 'failIngest', 'failItem', 'failRollout', 'failPurge', 'lowerFence'],
  ...['failIsolation', 'failIsolationTest', 'removeCanaries', 'removeLeftovers'],
  ...['removeConfig', 'schemasToRemove', 'requestSchemaChange', 'releaseSchemas', 'deletePhoenixProject'],
]);

/** What a workflow was sent, with what its sender has shown. */
export interface Message {
  readonly name: string;
  /** Of the update; of one that is tried again the same. */
  readonly id: string;
  readonly args: readonly unknown[];
  readonly shown: unknown;
}

/** An activity that is about to run. */
export interface Asked {
  readonly activity: string;
  /** Whose it says it is, where it does: it decides into whose traces it goes. */
  readonly tenant: string | undefined;
  /** Undefined: somebody asks for it without a workflow. */
  readonly run: RunOf | undefined;
  readonly args: readonly unknown[];
}

export interface GateParts {
  readonly pool: Pool;
  readonly client: Client;
  readonly keys: KeyRing;
  readonly audience: string;
  readonly cluster: string;
}

/** Where every activity of a worker passes. What it learns of a run it keeps, so that an activity costs no query. */
export class Gate {
  private readonly chains = new Map<string, Promise<ChainRow>>();
  private readonly parts: AdmissionParts;
  private revoked: { readonly at: number; readonly tokens: Promise<ReadonlySet<string>> } | undefined;

  constructor(parts: GateParts) {
    this.parts = { ...parts, isRevoked: async (token) => (await this.revocations()).has(token) };
  }

  /** @throws OpsError `PermissionDenied`, with one audit entry for what is refused; what may pass, as it comes */
  async check({ activity, run, args, tenant }: Asked): Promise<void> {
    await this.audited({ activity, ...run }, async () => {
      if (run === undefined)
        throw new Refused(
          { why: 'activities are for workflows', hint: 'start an operation' },
          activity,
          NOBODY,
        );
      const chain = await this.chainOf(run);
      const about = { subject: chain.subject, tenant: chain.tenants?.[0], token: chain.token ?? undefined };
      if (chain.token !== null && !ENDINGS.has(activity) && (await this.parts.isRevoked(chain.token)))
        throw new Refused(
          { why: 'the token was revoked', hint: 'have another one issued with: cvops token issue' },
          `${chain.firstRun} revoked`,
          about,
        );
      const { tenants } = chain;
      const named = [...tenantsOf(args[0]), ...(tenant === undefined ? [] : [tenant])];
      const outside = tenants && named.find((each) => !tenants.includes(each));
      if (outside)
        throw new Refused(
          { why: `${activity} is not for this workflow's tenant`, hint: 'start an operation of its own' },
          `${chain.firstRun} ${outside}`,
          { ...about, tenant: outside },
        );
    });
  }

  /** Lets in an update. @throws OpsError as {@link check} */
  async message(run: RunOf & { readonly type: string }, { name, id, args, shown }: Message): Promise<void> {
    const what = `${run.runId} ${id}`;
    await this.audited({ activity: name, ...run }, async () => {
      const hint = 'send it with the command or the client, with CVOPS_TOKEN set';
      const refuse = (why: string, about: Refused['about'] = NOBODY) =>
        new Refused({ why, hint }, what, about);
      const parsed = presented.safeParse(shown);
      if (!parsed.success) throw refuse('it carries no credential');
      const token = await verifyToken(parsed.data.token, {
        keys: await this.parts.keys.current(),
        audience: this.parts.audience,
        at: new Date(),
      });
      const proof = await verifyProof(parsed.data.proof, token);
      const named = namedIn(args);
      const { tenants } = await this.chainOf(run);
      const all = [...(tenants ?? []), ...named.tenants];
      const about = { subject: token.subject, tenant: foreign(token, all), token: token.token };
      if (await this.parts.isRevoked(token.token)) throw refuse('the token was revoked', about);
      const isIts =
        proof.for === 'message' &&
        proof.workflow === run.workflowId &&
        proof.name === name &&
        proof.args === digestOf(args);
      if (!isIts) throw refuse('its proof is about something else', about);
      const known = UPDATES[run.type];
      const verb = known && Object.hasOwn(known, name) ? known[name] : undefined;
      if (verb === undefined) throw refuse(`nobody sends ${name} to a ${run.type}`, about);
      const denial = denialOf(token, verb, all) ?? (await forgedIn(this.parts.pool, token, named));
      if (denial !== undefined) throw new Refused(denial, what, about);
      if (!(await noteMessage(this.parts.pool, proof.jti, `${run.workflowId} ${id}`)))
        throw refuse('its proof was used by another one', about);
    });
  }

  /** An activity found only then that what it is asked for is another tenant's, such as a backup. */
  async noteDenied({ activity, run }: Pick<Asked, 'activity' | 'run'>, why: string): Promise<void> {
    if (run === undefined) return;
    const { firstRun, subject, tenant, token, workflowType } = await this.chainOf(run);
    await noteDenial(this.parts.pool, `${firstRun} ${activity}`, {
      ...{ principal: subject, verb: activity, tenant: tenant ?? '-', reason: why },
      detail: { ...run, activity, workflowType, ...(token ? { token } : {}) },
    });
  }

  /** Whether a run was let in, and works for a tenant; not, where that cannot be said now. */
  async isOf(run: RunOf, tenant: string): Promise<boolean> {
    try {
      const { tenants } = await this.chainOf(run);
      return tenants === null || tenants.includes(tenant);
    } catch {
      return false;
    }
  }

  /** Whether a person has started a run: not another operation as a part of itself, and not the system. */
  async isAsked(run: RunOf): Promise<boolean> {
    const { proof, role } = await this.chainOf(run);
    return proof !== null && role !== 'system';
  }

  /** The one tenant that the principal of a run has to do with; null: all. */
  async tenantOf(run: RunOf): Promise<TenantId | null> {
    return (await this.chainOf(run)).tenant;
  }

  private chainOf(run: RunOf): Promise<ChainRow> {
    const known = this.chains.get(run.runId);
    if (known !== undefined) return known;
    const chain = admit(this.parts, run);
    this.chains.set(run.runId, chain);
    // Refused, it stays so; what did not answer may the next time.
    chain.catch((error: unknown) => {
      if (!(error instanceof Refused)) this.chains.delete(run.runId);
    });
    const oldest = this.chains.keys().next().value;
    if (this.chains.size > REMEMBERED && oldest !== undefined) this.chains.delete(oldest);
    return chain;
  }

  private revocations(): Promise<ReadonlySet<string>> {
    if (this.revoked === undefined || Date.now() - this.revoked.at > REVOCATION_MS) {
      const tokens = revokedTokens(this.parts.pool).then((ids) => new Set(ids));
      tokens.catch(() => (this.revoked = undefined));
      this.revoked = { at: Date.now(), tokens };
    }
    return this.revoked.tokens;
  }

  private async audited(detail: Readonly<Record<string, unknown>>, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const { denial, what, about } = error;
      await noteDenial(this.parts.pool, what, {
        principal: about.subject,
        verb: String(detail['activity']),
        tenant: isTenant(about.tenant) ? about.tenant : '-',
        reason: denial.why,
        detail: { ...detail, ...(about.token ? { token: about.token } : {}) },
      });
      throw denied(denial);
    }
  }
}

const NOBODY = { subject: 'unknown', tenant: undefined };

/** Whom an activity is asked about. */
function tenantsOf(input: unknown): string[] {
  const { tenant, request } = (input ?? {}) as { tenant?: unknown; request?: { tenant?: unknown } };
  return [tenant, request?.tenant].filter((each) => typeof each === 'string');
}
