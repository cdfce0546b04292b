import { createHash } from 'node:crypto';
import path from 'node:path';
import type { ApiHandler, ApiRequest, ApiResponse } from '../api.js';
import type { ApplicationModel } from '../model.js';
import { readArchive } from './archive.js';
import { PackageError, buildModel } from './buildModel.js';
import { type SessionMeta, SESSION_LIFETIME_MS, SessionStore, md5 } from './sessions.js';
import { validateChange } from './validateChange.js';

export interface ConfigServerOptions {
  readonly dataDir: string;
  /** From activation until the container serves the new model. */
  readonly convergenceMs: number;
  readonly now?: () => Date;
  /** Folder that gets a copy of each package as it becomes active, by its generation; empty: none. */
  readonly recordTo?: string;
}

const TENANT = '/application/v2/tenant/default';
const INSTANCE = `${TENANT}/application/default/environment/prod/region/default/instance/default`;
/** The version whose behaviour is followed; its name says what answers. */
export const VERSION = '8.700.24-emulator';
const MAX_PACKAGE = 1 << 30;

/** An error answer of the deploy API. */
class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** The deploy API v2 of one config server with one application, `default.default`. */
export class ConfigServer {
  private readonly sessions: SessionStore;
  private activeModel: ApplicationModel | undefined;
  private container: ApplicationModel | undefined;
  private readonly listeners: ((model: ApplicationModel) => void)[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: ConfigServerOptions) {
    this.sessions = new SessionStore(options.dataDir);
  }

  /** What the container serves: behind the active package until it has converged. */
  get containerModel(): ApplicationModel | undefined {
    return this.container;
  }

  onContainerModel(callback: (model: ApplicationModel) => void): void {
    this.listeners.push(callback);
  }

  async start(): Promise<void> {
    const active = this.sessions.active;
    if (active === 0) return;
    this.activeModel = buildModel(this.sessions.files(active), active);
    this.converge();
  }

  async stop(): Promise<void> {
    clearTimeout(this.timer);
  }

  readonly handle: ApiHandler = async (request) => {
    try {
      return await this.route(request);
    } catch (error) {
      if (error instanceof ApiError) return errorAnswer(error.status, error.code, error.message);
      if (error instanceof PackageError) return errorAnswer(400, error.code, error.message);
      return errorAnswer(
        500,
        'INTERNAL_SERVER_ERROR',
        error instanceof Error ? error.message : String(error),
      );
    }
  };

  private async route(request: ApiRequest): Promise<ApiResponse> {
    const { method, path } = request;
    const query = new URLSearchParams(request.query);
    if (path === '/status.html')
      return {
        status: 200,
        headers: { 'content-type': 'text/html' },
        body: '<html><title>OK</title></html>',
      };
    if (path === '/state/v1/health')
      return json({ time: Date.now(), status: { code: 'up' }, metrics: { snapshot: { from: 0, to: 0 } } });
    if (path === '/state/v1/version') return json({ version: VERSION });
    if (path === '/state/v1/config') return json({ config: { generation: this.sessions.active } });
    if (path === '/ApplicationStatus') return json({ application: { vespa: { version: VERSION } } });

    if (path === `${TENANT}/prepareandactivate` && method === 'POST')
      return this.prepareAndActivate(request, query);
    const reactivate = new RegExp(`^${TENANT}/prepareandactivate/(\\d+)$`).exec(path);
    if (reactivate && method === 'PUT') {
      const meta = this.session(reactivate[1]!);
      if (meta.id !== this.sessions.active) this.activate(meta, query.get('force') === 'true');
      return json({ message: `Session ${meta.id} for default.default.default activated` });
    }
    if (path === `${TENANT}/session` && method === 'POST') return this.createSession(request, query);
    const session = new RegExp(`^${TENANT}/session/(\\d+)/(prepared|active|content)(?:/(.*))?$`).exec(path);
    if (session)
      return this.onSession(request, this.session(session[1]!), session[2]!, session[3] ?? '', query);

    if (path === `${TENANT}/application/` || path === `${TENANT}/application`)
      return json(this.sessions.active === 0 ? [] : [`http://${request.host}${INSTANCE}`]);
    const application =
      /^\/application\/v2\/tenant\/default\/application\/default(?:\/environment\/[^/]+\/region\/[^/]+\/instance\/default)?(\/.*)?$/.exec(
        path,
      );
    if (application) return this.onApplication(request, application[1] ?? '', query);
    throw new ApiError(404, 'NOT_FOUND', `Nothing at path '${path}'`);
  }

  private async prepareAndActivate(request: ApiRequest, query: URLSearchParams): Promise<ApiResponse> {
    const meta = await this.upload(request);
    this.prepare(meta);
    // The real one prepares only, and says the same words.
    if (query.get('dryRun') !== 'true')
      this.activate(this.sessions.meta(meta.id)!, query.get('force') === 'true');
    else this.sessions.remove(meta.id);
    return json({
      log: [],
      message: `Session ${meta.id} for tenant 'default' prepared and activated.`,
      'session-id': String(meta.id),
      activated: true,
      tenant: 'default',
      url: `http://${request.host}${INSTANCE}`,
      configChangeActions: { restart: [], refeed: [], reindex: [] },
    });
  }

  private async createSession(request: ApiRequest, query: URLSearchParams): Promise<ApiResponse> {
    const from = query.get('from');
    if (from !== null && this.sessions.active === 0)
      throw new ApiError(404, 'NOT_FOUND', "Unknown application id 'default.default'");
    const { id } = from === null ? await this.upload(request) : this.sessions.createFromActive();
    const base = `http://${request.host}${TENANT}/session/${id}`;
    return json({
      log: [],
      tenant: 'default',
      'session-id': String(id),
      prepared: `${base}/prepared`,
      content: `${base}/content/`,
      message: `Session ${id} for tenant 'default' created.`,
    });
  }

  private async onSession(
    request: ApiRequest,
    meta: SessionMeta,
    part: string,
    file: string,
    query: URLSearchParams,
  ): Promise<ApiResponse> {
    const { method } = request;
    const base = `http://${request.host}${TENANT}/session/${meta.id}`;
    if (part === 'content') return this.content(request, meta, decodePath(file), `${base}/content/`, query);
    if (part === 'prepared' && method === 'PUT') {
      this.prepare(meta);
      return json({
        log: [],
        tenant: 'default',
        'session-id': String(meta.id),
        activate: `${base}/active`,
        message: `Session ${meta.id} for tenant 'default' prepared.`,
        configChangeActions: { restart: [], refeed: [], reindex: [] },
      });
    }
    if (part === 'prepared' && method === 'GET') {
      if (meta.state !== 'prepared')
        throw new ApiError(400, 'BAD_REQUEST', `Session not prepared: ${meta.id}`);
      return json({ 'session-id': String(meta.id), tenant: 'default' });
    }
    if (part === 'active' && method === 'PUT') {
      this.activate(meta, query.get('force') === 'true');
      return json({
        deploy: { from: 'unknown', timestamp: Date.now(), internalRedeploy: false },
        application: {
          id: 'default:default:default',
          checksum: this.checksum(meta.id),
          generation: meta.id,
          previousActiveGeneration: meta.base,
        },
        tenant: 'default',
        'session-id': String(meta.id),
        message: `Session ${meta.id} for tenant 'default' activated.`,
        url: `http://${request.host}${INSTANCE}`,
      });
    }
    throw new ApiError(405, 'METHOD_NOT_ALLOWED', `Method '${method}' is not supported`);
  }

  private onApplication(
    request: ApiRequest,
    rest: string,
    query: URLSearchParams,
  ): Promise<ApiResponse> | ApiResponse {
    const active = this.sessions.active;
    if (active === 0 || this.activeModel === undefined)
      throw new ApiError(404, 'NOT_FOUND', "Unknown application id 'default.default'");
    if (rest === '' && request.method === 'DELETE') {
      this.sessions.clearActive();
      this.activeModel = undefined;
      this.container = undefined;
      return json({ message: "Application 'default.default' deleted" });
    }
    if (rest === '')
      return json({
        generation: active,
        applicationPackageFileReference: this.checksum(active),
        modelVersions: [VERSION],
      });
    if (rest === '/content' || rest.startsWith('/content/')) {
      if (request.method !== 'GET')
        throw new ApiError(405, 'METHOD_NOT_ALLOWED', `Method '${request.method}' is not supported`);
      const file = decodePath(rest.slice('/content/'.length));
      return this.content(
        request,
        this.sessions.meta(active)!,
        file,
        `http://${request.host}${INSTANCE}/content/`,
        query,
      );
    }
    if (rest === '/serviceconverge' || rest.startsWith('/serviceconverge/'))
      return json(this.convergence(request));
    if (rest === '/reindexing') return json({ enabled: true, clusters: {} });
    throw new ApiError(404, 'NOT_FOUND', `Nothing at path '${request.path}'`);
  }

  private async content(
    request: ApiRequest,
    meta: SessionMeta,
    file: string,
    base: string,
    query: URLSearchParams,
  ): Promise<ApiResponse> {
    const missing = () =>
      new ApiError(404, 'NOT_FOUND', `Session ${meta.id} does not contain a file at ${file}`);
    const legal = legalPath(file);
    if (request.method === 'PUT') {
      this.sessions.write(meta, legal, file.endsWith('/') ? undefined : await request.body(MAX_PACKAGE));
      return json({ prepared: base.replace(/content\/$/, 'prepared') });
    }
    if (request.method === 'DELETE') {
      if (!this.sessions.delete(meta, legal)) throw missing();
      return json({ prepared: base.replace(/content\/$/, 'prepared') });
    }
    const prefix = legal === '' ? '' : `${legal}/`;
    const entries = this.sessions.list(meta.id, legal, query.get('recursive') === 'true');
    if (query.get('return') === 'status') return json(this.fileStatus(meta, legal, entries, base));
    if (entries !== undefined) return json(entries.map((name) => base + encodePath(prefix + name)));
    const body = this.sessions.read(meta.id, legal);
    if (body === undefined) throw missing();
    const type = legal.endsWith('.xml')
      ? 'application/xml'
      : legal.endsWith('.json')
        ? 'application/json'
        : 'text/plain';
    return { status: 200, headers: { 'content-type': type }, body };
  }

  private fileStatus(
    meta: SessionMeta,
    legal: string,
    entries: readonly string[] | undefined,
    base: string,
  ): unknown {
    const one = (name: string) => {
      const body = this.sessions.read(meta.id, name);
      return {
        status: meta.changes[name] ?? 'new',
        md5: body === undefined ? '' : md5(body),
        name: base + encodePath(name),
      };
    };
    if (entries === undefined) return one(legal);
    const prefix = legal === '' ? '' : `${legal}/`;
    const deleted = Object.keys(meta.changes).filter(
      (name) => meta.changes[name] === 'deleted' && name.startsWith(prefix),
    );
    return [...entries.map((name) => prefix + name), ...deleted].toSorted().map(one);
  }

  private convergence(request: ApiRequest): unknown {
    const wanted = this.sessions.active;
    const current = this.container?.generation ?? -1;
    const [host] = request.host.split(':');
    const url = `http://${request.host}${INSTANCE}/serviceconverge`;
    const services = [
      'container',
      'searchnode',
      'storagenode',
      'distributor',
      'container-clustercontroller',
    ].map((type) => ({
      host,
      port: 0,
      type,
      url: `${url}/${host}:0`,
      currentGeneration: current,
      ...(type === 'container' ? { clusterName: this.activeModel?.containerCluster } : {}),
    }));
    return {
      services,
      url,
      currentGeneration: current,
      wantedGeneration: wanted,
      converged: current >= wanted,
    };
  }

  private async upload(request: ApiRequest): Promise<SessionMeta> {
    const header = request.headers['content-type'];
    if (header === undefined)
      throw new ApiError(400, 'BAD_REQUEST', 'Request contains no Content-Type header');
    const type = header.split(';')[0]!.trim();
    if (!['application/zip', 'application/x-gzip', 'multipart/form-data'].includes(type)) {
      throw new ApiError(
        400,
        'BAD_REQUEST',
        `Request contains invalid Content-Type header (${header}), only '[application/x-gzip, application/zip, multipart/form-data]' are supported`,
      );
    }
    const body = await request.body(MAX_PACKAGE);
    if (body.length === 0) throw new ApiError(400, 'BAD_REQUEST', 'Request contains no data');
    try {
      // The real one compares the raw header here: `application/zip; charset=…` passes above and fails now.
      if (header !== 'application/zip' && header !== 'application/x-gzip')
        throw new Error('Unable to decompress');
      return this.sessions.createFromFiles(readArchive(body, header));
    } catch (error) {
      throw new ApiError(400, 'BAD_REQUEST', `Unable to decompress: ${(error as Error).message}`);
    }
  }

  /** @throws PackageError; the session is gone then */
  private prepare(meta: SessionMeta): void {
    try {
      const files = this.sessions.files(meta.id);
      const model = buildModel(files, meta.id);
      validateChange(this.activeModel, model, files, (this.options.now ?? (() => new Date()))());
    } catch (error) {
      this.sessions.remove(meta.id);
      throw error;
    }
    this.sessions.save({ ...this.sessions.meta(meta.id)!, state: 'prepared' });
  }

  private activate(meta: SessionMeta, force: boolean): void {
    const active = this.sessions.active;
    if (meta.state !== 'prepared')
      throw new ApiError(
        400,
        'BAD_REQUEST',
        `app:default.default.default Session ${meta.id} is not prepared`,
      );
    if (meta.base !== active && !force) {
      throw new ApiError(
        409,
        'ACTIVATION_CONFLICT',
        `app:default.default.default This session ${meta.id} was prepared when session ${meta.base} was active, but session ${active} has since become active: refusing to activate this session, please redeploy`,
      );
    }
    if (meta.id < active) {
      throw new ApiError(
        409,
        'ACTIVATION_CONFLICT',
        `app:default.default.default Cannot activate session ${meta.id}, because it is older than current active session (${active}), please try deploying again from start`,
      );
    }
    const model = buildModel(this.sessions.files(meta.id), meta.id);
    this.sessions.setActive(meta.id);
    if (this.options.recordTo) this.sessions.copyActive(path.join(this.options.recordTo, String(meta.id)));
    this.activeModel = model;
    clearTimeout(this.timer);
    if (this.container === undefined || this.options.convergenceMs === 0) this.converge();
    else this.timer = setTimeout(() => this.converge(), this.options.convergenceMs);
  }

  private converge(): void {
    if (this.activeModel === undefined) return;
    this.container = this.activeModel;
    for (const listener of this.listeners) listener(this.container);
  }

  private session(id: string): SessionMeta {
    const meta = this.sessions.meta(Number(id));
    if (
      meta !== undefined &&
      (meta.id === this.sessions.active || Date.now() - meta.created < SESSION_LIFETIME_MS)
    )
      return meta;
    throw new ApiError(404, 'NOT_FOUND', `Local session ${id} for 'default' was not found`);
  }

  private checksum(id: number): string {
    const hash = createHash('md5');
    for (const [name, body] of this.sessions.files(id)) hash.update(name).update(body);
    return hash.digest('hex');
  }
}

function legalPath(file: string): string {
  const parts = file.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || file.includes('\0'))
    throw new ApiError(400, 'BAD_REQUEST', `'${file}' is not a legal path`);
  return parts.join('/');
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new ApiError(400, 'BAD_REQUEST', `'${path}' is not a legal path`);
  }
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

function json(value: unknown): ApiResponse {
  return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

function errorAnswer(status: number, code: string, message: string): ApiResponse {
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: `${JSON.stringify({ 'error-code': code, message }, null, 2)}\n`,
  };
}
