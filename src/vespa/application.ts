import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { OpsError } from '../domain/errors.js';
import { Disturbances, Overtaken } from './application/disturbance.js';
import { type Edit, MARKER, editOf, firstPackage, marker } from './application/edit.js';
import { confirmRemovals, confirmWritten } from './application/guard.js';
import { type DeployApi, type PackageRequest, checkBatch } from './application/requests.js';
import { sift } from './application/sift.js';
import { DeployError } from './configServer.js';

/**
 * The one read-modify-write of the application package. All tenants' schemas live in it, and a deploy without one drops
 * that tenant's documents, so: begin from the active package, change exactly what was asked, keep every other byte,
 * refuse to activate when anything else would go, and let the server refuse when somebody else deployed in between.
 */

export { sdFile } from './application/edit.js';
export type { DeployApi, PackageRequest } from './application/requests.js';

export interface RequestOutcome {
  readonly id: string;
  readonly ok: boolean;
  /** The server's own reason when refused. */
  readonly error?: string;
}

export interface DeployResult {
  readonly outcomes: readonly RequestOutcome[];
  /** Generation that is active now and holds all that was accepted; 0 while there is no application. */
  readonly generation: number;
  /** Packages activated: 0 when all was there already. */
  readonly deploys: number;
  /** Times somebody else's deploy came between. */
  readonly conflicts: number;
}

export interface DeployOptions {
  readonly now?: () => Date;
  /** Called before each slow step with what it is. */
  readonly onStep?: (step: string) => void;
  readonly maxConflicts?: number;
  /** Waits before the deploy begins again. */
  readonly pause?: (milliseconds: number) => Promise<unknown>;
}

/**
 * Deploys a batch as one package. When the package is refused, finds the requests that make it invalid by preparing
 * parts that are never activated, and deploys the others.
 *
 * @throws OpsError `VerificationFailed` when a deploy would remove what nobody asked for
 * @throws OpsError `Rejected` when the active package is itself invalid: no request is at fault
 * @throws OpsError `Conflict` when the requests contradict each other
 * @throws OpsError `Unavailable` when other deploys kept coming between
 * @throws UnknownOutcome, NoAnswer, DeployError while the server is out of order: calling again with the same is safe
 */
export async function deployRequests(
  server: DeployApi,
  requests: readonly PackageRequest[],
  options: DeployOptions = {},
): Promise<DeployResult> {
  checkBatch(requests);
  const deployer = new Deployer(server, options);
  const disturbances = new Disturbances(options.maxConflicts ?? 20);
  const refused = new Map<PackageRequest, string>();
  for (;;) {
    try {
      const accepted = requests.filter((request) => !refused.has(request));
      const base = await server.activeGeneration();
      const result = await deployer.deploy(base, accepted);
      if ('refused' in result) {
        const found = await deployer.findRefused(base, accepted, result.refused);
        for (const [request, why] of found) refused.set(request, why);
        continue;
      }
      const outcomes = requests.map((request) => {
        const error = refused.get(request);
        return error === undefined ? { id: request.id, ok: true } : { id: request.id, ok: false, error };
      });
      const { generation } = result;
      return { outcomes, generation, deploys: deployer.deploys, conflicts: disturbances.conflicts };
    } catch (error) {
      await (options.pause ?? delay)(disturbances.afterwards(error));
    }
  }
}

/** A session as the server judged it; undefined when the active package is as asked already. */
type Staged = { readonly session: string; readonly edit: Edit } | { readonly refused: string } | undefined;

/**
 * One try on one base, the generation that was active when it began. Whatever says that another is active by now throws
 * `Overtaken`, so that no request is judged by a package that is history.
 */
class Deployer {
  deploys = 0;
  /** Markers of packages whose activation failed, for all that the answer says. */
  private readonly unsure = new Set<string>();

  constructor(
    private readonly server: DeployApi,
    private readonly options: DeployOptions,
  ) {}

  async deploy(
    base: number | undefined,
    requests: readonly PackageRequest[],
  ): Promise<{ readonly generation: number } | { readonly refused: string }> {
    if (this.unsure.size > 0 && this.unsure.delete(text(await this.server.readFile(MARKER)) ?? ''))
      this.deploys++;
    const revision = randomUUID();
    const staged = await this.stage(base, requests, revision);
    if (staged === undefined) return { generation: base ?? 0 };
    if ('refused' in staged) return staged;
    await confirmRemovals(this.server, staged.session, base, staged.edit);
    this.options.onStep?.('activate');
    try {
      const generation = await this.server.activate(staged.session);
      this.deploys++;
      return { generation };
    } catch (error) {
      // Done, not done or done later: the next try finds its work there, or the server lets only one of the two in.
      this.unsure.add(text(marker(revision)));
      // It was accepted when prepared: somebody else has written to the session since.
      if (error instanceof DeployError && error.invalidPackage) throw new Overtaken(error.message);
      throw error;
    }
  }

  /** The requests that the server does not take, with its reasons: parts are prepared, none is activated. */
  async findRefused(
    base: number | undefined,
    requests: readonly PackageRequest[],
    message: string,
  ): Promise<Map<PackageRequest, string>> {
    const before = base === undefined ? undefined : await this.prepare(base, await this.copyOf(base));
    if (before !== undefined)
      throw new OpsError(
        'Rejected',
        `the active package itself is refused: ${before}`,
        'deploy a valid package first',
      );
    // What goes first makes room for what comes: a name that clashes with one of those is not to be refused.
    const ordered = requests.toSorted((a, b) => Math.sign(b.remove.length) - Math.sign(a.remove.length));
    return sift(ordered, message, async (part) => {
      const staged = await this.stage(base, part, randomUUID());
      return staged !== undefined && 'refused' in staged ? staged.refused : undefined;
    });
  }

  /** A session with the requests in it, prepared. */
  private async stage(
    base: number | undefined,
    requests: readonly PackageRequest[],
    revision: string,
  ): Promise<Staged> {
    let session: string;
    let edit: Edit | undefined;
    if (base === undefined) {
      edit = firstPackage(requests, revision);
      if (edit === undefined) return undefined;
      session = await this.server.createSession(edit.puts);
    } else {
      session = await this.copyOf(base);
      const now = this.options.now?.() ?? new Date();
      edit = await editOf(this.server, session, requests, revision, now);
      if (edit === undefined) return undefined;
      this.options.onStep?.(`write ${edit.puts.size} file(s)`);
      for (const [path, body] of edit.puts) await this.server.putFile(session, path, body);
      for (const path of edit.deletes) await this.server.deleteFile(session, path);
    }
    await confirmWritten(this.server, session, edit);
    const refused = await this.prepare(base, session);
    return refused === undefined ? { session, edit } : { refused };
  }

  /** A session that is a copy of the base. */
  private async copyOf(base: number): Promise<string> {
    const session = await this.server.createSessionFromActive();
    // The server looks at the active session twice while it makes one; a deploy in between gives the content of one
    // generation the base of another, which it would then let us activate.
    const [ours, active] = await Promise.all([
      this.server.readFile(MARKER, session),
      this.server.readFile(MARKER),
    ]);
    if (text(ours) !== text(active) || (await this.server.activeGeneration()) !== base)
      throw new Overtaken('the session is not a copy of the active package');
    return session;
  }

  /** @returns the server's reason when it refuses the package */
  private async prepare(base: number | undefined, session: string): Promise<string | undefined> {
    this.options.onStep?.('prepare');
    try {
      await this.server.prepare(session);
      return undefined;
    } catch (error) {
      if (!(error instanceof DeployError && error.invalidPackage)) throw error;
      // A package is checked against the active one: what another deploy added meanwhile looks as if we removed it.
      if ((await this.server.activeGeneration()) !== base) throw new Overtaken(error.message);
      return error.message;
    }
  }
}

function text(file: Buffer): string;
function text(file: Buffer | undefined): string | undefined;
function text(file: Buffer | undefined): string | undefined {
  return file?.toString('utf8');
}
