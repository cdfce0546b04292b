import { zipSync } from 'fflate';
import { type HttpAnswer, NoAnswer, call, jsonOf, messageOf } from './http.js';

/** An error answer of the config server: `code` is its `error-code`. */
export class DeployError extends Error {
  override readonly name = 'DeployError';

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }

  /** The package itself is refused: no retry will help. */
  get invalidPackage(): boolean {
    return (
      this.status === 400 && (this.code === 'INVALID_APPLICATION_PACKAGE' || this.code === 'BAD_REQUEST')
    );
  }

  /** Somebody else deployed in between, or holds the lock: begin again from the new active package. */
  get conflict(): boolean {
    return this.status === 409;
  }
}

/** The server may or may not have done it: 408, 500, 504, or no answer. Read the generation back before anything else. */
export class UnknownOutcome extends Error {
  override readonly name = 'UnknownOutcome';
}

export interface Convergence {
  readonly converged: boolean;
  readonly wantedGeneration: number;
  readonly currentGeneration: number;
}

const TENANT = '/application/v2/tenant/default';
const APPLICATION = `${TENANT}/application/default/environment/prod/region/default/instance/default`;
const CONVERGENCE = `${APPLICATION}/serviceconverge`;
/** Seconds the server may take to prepare or activate; its own budget is 360. */
const DEPLOY_TIMEOUT = 300;

/**
 * A typed client of one config server's deploy API v2. With three config servers, use one of them: a session lives on
 * the server that made it.
 */
export class ConfigServer {
  constructor(
    readonly url: string,
    private readonly signal?: AbortSignal,
  ) {}

  /** Generation of the active application, undefined before the first deploy. */
  async activeGeneration(): Promise<number | undefined> {
    const answer = await this.read(APPLICATION);
    return answer === undefined ? undefined : (jsonOf(answer) as { generation: number }).generation;
  }

  /** A file of the active package, or of a session's; undefined when it has none. */
  async readFile(path: string, session?: string): Promise<Buffer | undefined> {
    return (await this.read(`${this.content(session)}${path}`))?.body;
  }

  /** Paths of all files of the active package, or of a session's, relative to its root. */
  async listFiles(session?: string): Promise<string[]> {
    const root = this.content(session);
    const answer = await this.read(`${root}?recursive=true`);
    const urls = answer === undefined ? [] : (jsonOf(answer) as string[]);
    return urls
      .filter((url) => !url.endsWith('/'))
      .map((url) => decodeURIComponent(url.slice(url.indexOf('/content/') + '/content/'.length)));
  }

  /** A session that begins as a copy of the active package: activating it later fails when that is active no more. */
  async createSessionFromActive(): Promise<string> {
    const from = encodeURIComponent(`${this.url}${APPLICATION}`);
    const answer = await this.write('POST', `${TENANT}/session?from=${from}`);
    return (jsonOf(answer) as { 'session-id': string })['session-id'];
  }

  /** A session of a whole package, for when there is nothing active to begin from. */
  async createSession(files: ReadonlyMap<string, Buffer>): Promise<string> {
    const answer = await this.write('POST', `${TENANT}/session`, zip(files), 'application/zip');
    return (jsonOf(answer) as { 'session-id': string })['session-id'];
  }

  async putFile(session: string, path: string, body: Buffer): Promise<void> {
    await this.write('PUT', `${this.content(session)}${path}`, body, 'application/octet-stream');
  }

  async deleteFile(session: string, path: string): Promise<void> {
    await this.write('DELETE', `${this.content(session)}${path}`);
  }

  /** @throws DeployError when the package is refused: the session is gone then, the active package untouched */
  async prepare(session: string): Promise<void> {
    await this.write(
      'PUT',
      `${TENANT}/session/${session}/prepared?applicationName=default&timeout=${DEPLOY_TIMEOUT}`,
    );
  }

  /** @throws DeployError `conflict` when another session became active since this one was created */
  async activate(session: string): Promise<number> {
    await this.write('PUT', `${TENANT}/session/${session}/active?timeout=${DEPLOY_TIMEOUT}`);
    return Number(session);
  }

  /** Replaces the whole application by a package, whatever is active: no conflict with what was read before is seen. */
  async prepareAndActivate(files: ReadonlyMap<string, Buffer>): Promise<number> {
    const answer = await this.write(
      'POST',
      `${TENANT}/prepareandactivate?timeout=${DEPLOY_TIMEOUT}`,
      zip(files),
      'application/zip',
    );
    const result = jsonOf(answer) as { 'session-id': string; activated?: boolean; message: string };
    // 200 with `activated: false`: prepared, but the lock or a host was not to be had.
    if (result.activated === false)
      await this.write('PUT', `${TENANT}/prepareandactivate/${result['session-id']}`);
    return Number(result['session-id']);
  }

  /** Where a person sees which services run another generation. */
  get convergenceUrl(): string {
    return `${this.url}${CONVERGENCE}`;
  }

  async convergence(): Promise<Convergence | undefined> {
    const answer = await this.read(`${CONVERGENCE}?timeout=5`);
    return answer === undefined ? undefined : (jsonOf(answer) as Convergence);
  }

  private content(session?: string): string {
    return session === undefined ? `${APPLICATION}/content/` : `${TENANT}/session/${session}/content/`;
  }

  private async read(path: string): Promise<HttpAnswer | undefined> {
    const answer = await call('GET', this.url + path, { signal: this.signal });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw this.error(answer);
    return answer;
  }

  private async write(
    method: 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: Buffer,
    type?: string,
  ): Promise<HttpAnswer> {
    let answer: HttpAnswer;
    try {
      answer = await call(method, this.url + path, {
        ...(body === undefined ? {} : { body }),
        ...(type === undefined ? {} : { type }),
        signal: this.signal,
      });
    } catch (error) {
      if (error instanceof NoAnswer) throw new UnknownOutcome(error.message, { cause: error });
      throw error;
    }
    if (answer.status === 200) return answer;
    if (answer.status === 408 || answer.status >= 500)
      throw new UnknownOutcome(`config server answered ${answer.status}: ${messageOf(answer)}`);
    throw this.error(answer);
  }

  private error(answer: HttpAnswer): DeployError {
    const code = (jsonOf(answer) as { 'error-code'?: string } | undefined)?.['error-code'] ?? 'UNKNOWN';
    return new DeployError(answer.status, code, messageOf(answer));
  }
}

/** One time for all files: equal packages are equal archives. */
function zip(files: ReadonlyMap<string, Buffer>): Buffer {
  return Buffer.from(zipSync(Object.fromEntries(files), { mtime: new Date('1980-01-01T00:00:00') }));
}
