import { DeployError } from '../../src/vespa/configServer.js';
import type { DeployApi } from '../../src/vespa/application.js';
import { mappedSchemas } from '../../src/vespa/package/services.js';

export type Files = Map<string, Buffer>;

/** A fault at one call: thrown instead of it, or after its effect. */
export interface Fault {
  readonly error: Error;
  readonly done: boolean;
}

/** `copied` lies within createSessionFromActive, between its two looks at the active session. */
export type CallName = keyof DeployApi | 'copied';

interface Session {
  readonly files: Files;
  readonly base: number;
  prepared: boolean;
}

/**
 * A config server in memory with the real one's rules of sessions, conflicts and schema removal, and a hook before each
 * call, in which a test deploys as somebody else or makes the call fail.
 */
export class ScriptedConfigServer implements DeployApi {
  /** The active package; undefined before the first deploy. */
  active: Files | undefined;
  generation = 0;
  /** Activations made through the API, that is by us. */
  activations = 0;
  readonly calls: CallName[] = [];
  /** Called before each call; what it does as somebody else has happened when the call is served. */
  script: (call: CallName, args: readonly unknown[]) => Fault | undefined | void = () => undefined;
  /** What a put really writes; undefined loses it. */
  written: (path: string, body: Buffer) => Buffer | undefined = (_path, body) => body;
  deleted: (path: string) => boolean = () => true;
  /** What a listing shows of what is there. */
  listed: (paths: string[], session: string | undefined) => string[] = (paths) => paths;
  private readonly sessions = new Map<string, Session>();
  private lastId = 1;

  /** Somebody else's deploy, from first read to activation. */
  deployAsOther(edit: (files: Files) => void): void {
    const files = new Map(this.active ?? []);
    edit(files);
    this.active = files;
    this.generation = ++this.lastId;
  }

  text(path: string): string | undefined {
    return this.active?.get(path)?.toString('utf8');
  }

  count(call: CallName): number {
    return this.calls.filter((name) => name === call).length;
  }

  async activeGeneration(): Promise<number | undefined> {
    return this.call('activeGeneration', [], () => (this.active === undefined ? undefined : this.generation));
  }

  async readFile(path: string, session?: string): Promise<Buffer | undefined> {
    return this.call('readFile', [path, session], () => this.filesOf(session)?.get(path));
  }

  async listFiles(session?: string): Promise<string[]> {
    return this.call('listFiles', [session], () =>
      this.listed([...(this.filesOf(session)?.keys() ?? [])], session),
    );
  }

  async createSessionFromActive(): Promise<string> {
    return this.call('createSessionFromActive', [], () => {
      if (this.active === undefined)
        throw new DeployError(404, 'NOT_FOUND', "Unknown application id 'default.default'");
      const copy = new Map(this.active);
      const fault = this.interrupt('copied', []);
      if (fault) throw fault.error;
      return this.begin(copy);
    });
  }

  async createSession(files: ReadonlyMap<string, Buffer>): Promise<string> {
    return this.call('createSession', [files], () => this.begin(new Map(files)));
  }

  async putFile(session: string, path: string, body: Buffer): Promise<void> {
    return this.call('putFile', [session, path, body], () => {
      const kept = this.written(path, body);
      if (kept !== undefined) this.session(session).files.set(path, kept);
      this.session(session).prepared = false;
    });
  }

  async deleteFile(session: string, path: string): Promise<void> {
    return this.call('deleteFile', [session, path], () => {
      if (!this.session(session).files.has(path))
        throw new DeployError(404, 'NOT_FOUND', `Session ${session} does not contain a file at ${path}`);
      if (this.deleted(path)) this.session(session).files.delete(path);
    });
  }

  async prepare(session: string): Promise<void> {
    return this.call('prepare', [session], () => {
      const why = invalid(this.session(session).files, this.active);
      if (why !== undefined) {
        this.sessions.delete(session);
        throw new DeployError(400, 'INVALID_APPLICATION_PACKAGE', `Invalid application: ${why}`);
      }
      this.session(session).prepared = true;
    });
  }

  async activate(session: string): Promise<number> {
    return this.call('activate', [session], () => {
      const { files, base, prepared } = this.session(session);
      if (!prepared) throw new DeployError(400, 'BAD_REQUEST', `Session ${session} is not prepared`);
      // As the real one: with nothing active at its creation, a session is only refused when it is the older.
      if ((base !== 0 && base !== this.generation) || Number(session) < this.generation)
        throw new DeployError(409, 'ACTIVATION_CONFLICT', `session ${this.generation} has become active`);
      this.active = files;
      this.generation = Number(session);
      this.activations++;
      return this.generation;
    });
  }

  private call<T>(name: CallName, args: readonly unknown[], effect: () => T): T {
    const fault = this.interrupt(name, args);
    if (fault && !fault.done) throw fault.error;
    const result = effect();
    if (fault) throw fault.error;
    return result;
  }

  private interrupt(name: CallName, args: readonly unknown[]): Fault | undefined {
    this.calls.push(name);
    return this.script(name, args) ?? undefined;
  }

  private begin(files: Files): string {
    const id = String(++this.lastId);
    this.sessions.set(id, {
      files,
      base: this.active === undefined ? 0 : this.generation,
      prepared: false,
    });
    return id;
  }

  private session(id: string): Session {
    const session = this.sessions.get(id);
    if (session === undefined) throw new DeployError(404, 'NOT_FOUND', `Local session ${id} was not found`);
    return session;
  }

  private filesOf(session: string | undefined): Files | undefined {
    return session === undefined ? this.active : this.session(session).files;
  }
}

/** Why the server refuses a package: a text that says so, a missing file, names of one hash, an unallowed removal. */
function invalid(files: Files, active: Files | undefined): string | undefined {
  const services = files.get('services.xml')?.toString('utf8');
  if (services === undefined) return 'services.xml does not exist in application package';
  const mapped = mappedSchemas(services);
  const hashes = new Set<number>();
  for (const name of mapped) {
    const sd = files.get(`schemas/${name}.sd`)?.toString('utf8');
    if (sd === undefined) return `Document type '${name}' not found in application package`;
    if (sd.includes('broken')) return `schema '${name}' cannot be parsed`;
    if (hashes.has(javaHash(name))) return `Document type document type '${name}' is already registered`;
    hashes.add(javaHash(name));
  }
  if (files.get('validation-overrides.xml')?.toString('utf8').includes('schema-removal')) return undefined;
  const gone = mappedSchemas(
    active?.get('services.xml')?.toString('utf8') ?? '<content><documents></documents></content>',
  ).filter((name) => !mapped.includes(name));
  return gone.length === 0
    ? undefined
    : `Removal of a schema causes deletion of all documents: Schema '${gone.join(', ')}' is removed`;
}

export function javaHash(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return hash;
}
