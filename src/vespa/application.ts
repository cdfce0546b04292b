import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { OpsError } from '../domain/errors.js';
import { type ConfigServer, DeployError, UnknownOutcome } from './configServer.js';
import { withRemovalAllowed, withoutRemovalAllowed } from './package/overrides.js';
import { INITIAL_HOSTS, editServices, initialServices, mappedSchemas } from './package/services.js';

/**
 * The one read-modify-write of the application package. All tenants' schemas live in it, and a deploy without one drops
 * that tenant's documents, so: begin from the active package, change exactly what was asked, keep every other byte,
 * refuse to activate when anything else would go, and let the server refuse when somebody else deployed in between.
 */

/** One request: schemas to put (by physical name) and to take out. */
export interface PackageRequest {
  readonly id: string;
  readonly put: readonly { readonly name: string; readonly sd: string }[];
  readonly remove: readonly string[];
}

export interface RequestOutcome {
  readonly id: string;
  readonly ok: boolean;
  /** The server's own reason when refused. */
  readonly error?: string;
}

export interface DeployResult {
  readonly outcomes: readonly RequestOutcome[];
  /** Generation that is active now and holds all that was accepted. */
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
}

const SERVICES = 'services.xml';
const OVERRIDES = 'validation-overrides.xml';
/** Carries a random revision per deploy: tells whether a deploy of unknown outcome happened, and a stale copy apart. */
const MARKER = 'cvops/revision.json';

/**
 * Deploys a batch as one package. When the package is refused, finds the requests that make it invalid by preparing
 * parts that are never activated, and deploys the others.
 *
 * @throws OpsError `VerificationFailed` when a deploy would remove what nobody asked for
 * @throws OpsError `Unavailable` when other deploys kept coming between
 */
export async function deployRequests(
  server: ConfigServer,
  requests: readonly PackageRequest[],
  options: DeployOptions = {},
): Promise<DeployResult> {
  const names = requests.flatMap((request) => request.remove);
  const both = requests.flatMap((request) => request.put).find(({ name }) => names.includes(name));
  // One deploy cannot do both, and leaving the schema in would show its old documents to whoever puts it.
  if (both) throw new OpsError('Conflict', `a batch that puts and removes ${both.name} must be two deploys`);
  const deployer = new Deployer(server, options);
  const refused = new Map<string, string>();
  let accepted = requests;
  for (;;) {
    try {
      const generation = await deployer.deploy(accepted);
      const outcomes = requests.map(({ id }) => {
        const error = refused.get(id);
        return error === undefined ? { id, ok: true } : { id, ok: false, error };
      });
      return { outcomes, generation, deploys: deployer.deploys, conflicts: deployer.conflicts };
    } catch (error) {
      if (!(error instanceof DeployError && error.invalidPackage)) throw error;
      const bad = await deployer.findRefused(accepted, error.message);
      for (const [id, why] of bad) refused.set(id, why);
      accepted = accepted.filter(({ id }) => !bad.has(id));
    }
  }
}

/** What a session's package would become, and what it was begun from. */
interface Edit {
  readonly puts: ReadonlyMap<string, Buffer>;
  readonly deletes: readonly string[];
  readonly revision: string;
}

class Deployer {
  deploys = 0;
  conflicts = 0;

  constructor(
    private readonly server: ConfigServer,
    private readonly options: DeployOptions,
  ) {}

  /** @returns the generation that holds the requests */
  async deploy(requests: readonly PackageRequest[]): Promise<number> {
    const maxConflicts = this.options.maxConflicts ?? 20;
    for (;;) {
      const before = await this.server.activeGeneration();
      let revision: string | undefined;
      try {
        if (before === undefined) {
          if (requests.length === 0) return 0;
          revision = randomUUID();
          return this.activated(await this.first(requests, revision));
        }
        const session = await this.server.createSessionFromActive();
        const edit = await this.plan(session, requests);
        if (edit === undefined) return before;
        revision = edit.revision;
        await this.apply(session, edit);
        this.options.onStep?.('prepare');
        await this.server.prepare(session);
        await this.guard(session, before, requests);
        this.options.onStep?.('activate');
        return this.activated(await this.server.activate(session));
      } catch (error) {
        if (error instanceof UnknownOutcome) {
          const generation = await this.outcomeOf(revision);
          if (generation !== undefined) return this.activated(generation);
          throw error;
        }
        const gone = error instanceof DeployError && error.status === 404;
        if (!(error instanceof StaleCopy) && !(error instanceof DeployError && error.conflict) && !gone)
          throw error;
        if (++this.conflicts > maxConflicts) {
          throw new OpsError(
            'Unavailable',
            `other deploys came between ${this.conflicts} times: ${error.message}`,
            'find out who else deploys to this application',
          );
        }
        await delay(Math.random() * Math.min(2000, 100 * 2 ** this.conflicts));
      }
    }
  }

  /** Which of the requests make the package invalid, each with the server's reason: halves are prepared, none activated. */
  async findRefused(requests: readonly PackageRequest[], message: string): Promise<Map<string, string>> {
    const only = requests[0];
    if (only === undefined)
      throw new OpsError(
        'Rejected',
        `the active package itself is refused: ${message}`,
        'deploy a valid package first',
      );
    if (requests.length === 1) return new Map([[only.id, message]]);
    const half = Math.ceil(requests.length / 2);
    const refused = new Map<string, string>();
    for (const part of [requests.slice(0, half), requests.slice(half)]) {
      const why = await this.tryPrepare(part);
      if (why !== undefined)
        for (const [id, reason] of await this.findRefused(part, why)) refused.set(id, reason);
    }
    // Each half is fine alone: they clash with each other, and the later one gives way.
    if (refused.size === 0) for (const { id } of requests.slice(half)) refused.set(id, message);
    return refused;
  }

  private async tryPrepare(requests: readonly PackageRequest[]): Promise<string | undefined> {
    try {
      if ((await this.server.activeGeneration()) === undefined) {
        await this.server.prepare(await this.server.createSession(firstPackage(requests, randomUUID())));
        return undefined;
      }
      const session = await this.server.createSessionFromActive();
      const edit = await this.plan(session, requests);
      if (edit === undefined) return undefined;
      await this.apply(session, edit);
      await this.server.prepare(session);
      return undefined;
    } catch (error) {
      if (error instanceof DeployError && error.invalidPackage) return error.message;
      throw error;
    }
  }

  private async first(requests: readonly PackageRequest[], revision: string): Promise<number> {
    this.options.onStep?.('first deploy');
    return this.server.prepareAndActivate(firstPackage(requests, revision));
  }

  /** The edit of a fresh session; undefined when the package already is as asked. */
  private async plan(session: string, requests: readonly PackageRequest[]): Promise<Edit | undefined> {
    // The server reads the active session twice while it copies; a deploy in between gives old content under a new base.
    const [ours, active] = await Promise.all([
      this.server.readFile(MARKER, session),
      this.server.readFile(MARKER),
    ]);
    if (text(ours) !== text(active)) throw new StaleCopy('the session is not a copy of the active package');

    const services = text(await this.server.readFile(SERVICES, session));
    if (services === undefined) throw new OpsError('Rejected', 'the active package has no services.xml');
    const files = new Set(await this.server.listFiles(session));
    const puts = new Map<string, Buffer>();
    for (const { name, sd } of requests.flatMap((request) => request.put)) {
      const path = sdFile(name);
      const there = files.has(path) ? await this.server.readFile(path, session) : undefined;
      if (text(there) !== sd) puts.set(path, Buffer.from(sd));
    }
    const remove = requests.flatMap((request) => request.remove);
    const edited = editServices(services, {
      add: requests.flatMap((request) => request.put.map(({ name }) => name)),
      remove,
    });
    if (edited !== services) puts.set(SERVICES, Buffer.from(edited));
    const deletes = remove.map(sdFile).filter((path) => files.has(path));
    if (puts.size === 0 && deletes.length === 0) return undefined;

    const removes = deletes.length > 0 || mappedSchemas(services).some((name) => remove.includes(name));
    const overrides = text(await this.server.readFile(OVERRIDES, session));
    const now = (this.options.now ?? (() => new Date()))();
    const wanted = removes ? withRemovalAllowed(overrides, now) : withoutRemovalAllowed(overrides);
    if (wanted === undefined && overrides !== undefined) deletes.push(OVERRIDES);
    else if (wanted !== undefined && wanted !== overrides) puts.set(OVERRIDES, Buffer.from(wanted));

    const revision = randomUUID();
    puts.set(MARKER, marker(revision));
    return { puts, deletes, revision };
  }

  private async apply(session: string, edit: Edit): Promise<void> {
    this.options.onStep?.(`write ${edit.puts.size} file(s)`);
    for (const [path, body] of edit.puts) await this.server.putFile(session, path, body);
    for (const path of edit.deletes) await this.server.deleteFile(session, path);
  }

  /**
   * The last look before activation: what the active package has and the session has not must be exactly what was asked
   * to go. Read back from the server, not computed from what we meant to write. Files and mappings are each compared by
   * themselves: a mapping that goes takes the documents along, whether or not its file stays.
   */
  private async guard(session: string, base: number, requests: readonly PackageRequest[]): Promise<void> {
    const [before, after] = await Promise.all([this.schemasIn(undefined), this.schemasIn(session)]);
    // Somebody else's deploy came between: what it added is not what we would remove.
    if ((await this.server.activeGeneration()) !== base) throw new StaleCopy('another session became active');
    const removed = [...before.files.difference(after.files), ...before.mapped.difference(after.mapped)];
    const planned = new Set(requests.flatMap((request) => request.remove));
    const unplanned = [...new Set(removed)].filter((name) => !planned.has(name));
    const kept = [...planned].filter((name) => after.files.has(name) || after.mapped.has(name));
    if (unplanned.length === 0 && kept.length === 0) return;
    throw new OpsError(
      'VerificationFailed',
      unplanned.length > 0
        ? `refusing to activate: the deploy would also remove ${unplanned.join(', ')}`
        : `refusing to activate: the deploy would keep ${kept.join(', ')}`,
      'nothing was activated; compare with: cvops schema verify',
    );
  }

  private async schemasIn(session: string | undefined): Promise<{ files: Set<string>; mapped: Set<string> }> {
    const [files, services] = await Promise.all([
      this.server.listFiles(session),
      this.server.readFile(SERVICES, session),
    ]);
    return {
      files: new Set(
        files
          .filter((path) => /^schemas\/[^/]+\.sd$/.test(path))
          .map((path) => path.slice('schemas/'.length, -'.sd'.length)),
      ),
      mapped: new Set(services === undefined ? [] : mappedSchemas(services.toString('utf8'))),
    };
  }

  /** After an unknown outcome: the generation if our revision is the active one. */
  private async outcomeOf(revision: string | undefined): Promise<number | undefined> {
    if (revision === undefined) return undefined;
    for (let attempt = 0; attempt < 5; attempt++) {
      await delay(200 * 2 ** attempt);
      try {
        const active = await this.server.readFile(MARKER);
        return text(active) === marker(revision).toString('utf8')
          ? await this.server.activeGeneration()
          : undefined;
      } catch {
        // Still not there; the activity's retry begins from what is active then.
      }
    }
    return undefined;
  }

  private activated(generation: number): number {
    this.deploys++;
    return generation;
  }
}

/** The whole package of an application that does not exist yet. */
function firstPackage(requests: readonly PackageRequest[], revision: string): Map<string, Buffer> {
  const put = requests.flatMap((request) => request.put);
  return new Map<string, Buffer>([
    [SERVICES, Buffer.from(initialServices(put.map(({ name }) => name)))],
    ['hosts.xml', Buffer.from(INITIAL_HOSTS)],
    [MARKER, marker(revision)],
    ...put.map(({ name, sd }) => [sdFile(name), Buffer.from(sd)] as const),
  ]);
}

class StaleCopy extends Error {}

export function sdFile(name: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    throw new OpsError('InvalidInput', `not a schema name: ${JSON.stringify(name)}`);
  return `schemas/${name}.sd`;
}

function marker(revision: string): Buffer {
  return Buffer.from(`${JSON.stringify({ revision })}\n`);
}

function text(file: Buffer | undefined): string | undefined {
  return file?.toString('utf8');
}
