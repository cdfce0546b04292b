import { createHash } from 'node:crypto';
import { unzipSync } from 'fflate';
import { javaHashCode } from '../../../src/domain/naming.js';
import type { Answer } from './hosts.js';

type Files = ReadonlyMap<string, Buffer>;

interface Session {
  /** Generation it began from. */
  readonly base: number;
  readonly files: Map<string, Buffer>;
}

const DEPLOY = '/application/v2/tenant/default/';
const ACTIVE = `${DEPLOY}application/default/environment/prod/region/default/instance/default`;
const SERVICES = 'services.xml';

/**
 * One Vespa application in memory, as far as isolation goes: a schema whose mapping goes takes its documents along, a
 * removal needs its override, equal Java hashes break the whole package, and a session that was overtaken is refused.
 */
export class VespaStandIn {
  private generation = 1;
  private nextSession = 2;
  private readonly sessions = new Map<string, Session>();
  /** Schema → document id → body. */
  private readonly documents = new Map<string, Map<string, Buffer>>();

  /** @param files the active package */
  constructor(private files: Files) {
    for (const name of mapped(files)) this.documents.set(name, new Map());
  }

  /** Everything that is stored under a schema's name: its file, its mapping and its documents. */
  contentOf(schema: string): unknown {
    const documents = [...(this.documents.get(schema) ?? [])].map(([id, body]) => [id, hash(body)]);
    const file = this.files.get(`schemas/${schema}.sd`);
    return {
      file: file === undefined ? null : hash(file),
      mapping: mappingLines(this.files).filter((line) => line.includes(`"${schema}"`)),
      documents: documents.toSorted(([a], [b]) => (a! < b! ? -1 : 1)),
    };
  }

  putDocument(schema: string, id: string, body: Buffer): void {
    this.documents.get(schema)!.set(id, body);
  }

  countDocuments(schema: string): number {
    return this.documents.get(schema)?.size ?? 0;
  }

  get package(): Files {
    return this.files;
  }

  readonly answer = (method: string, url: URL, body: Buffer): Answer => {
    const path = decodeURIComponent(url.pathname);
    if (path.startsWith(ACTIVE)) return this.active(path.slice(ACTIVE.length), url);
    if (path.startsWith(DEPLOY)) return this.deploy(method, path.slice(DEPLOY.length), url, body);
    if (path.startsWith('/document/v1/')) return this.document(method, path, url, body);
    if (path === '/search/') {
      const { 'model.restrict': schema } = JSON.parse(body.toString()) as { 'model.restrict': string };
      const known = this.documents.has(schema);
      return { status: known ? 200 : 400, json: { root: known ? {} : { errors: [{ message: 'unknown' }] } } };
    }
    return { status: 404 };
  };

  private active(rest: string, url: URL): Answer {
    const { generation } = this;
    if (rest === '') return { status: 200, json: { generation } };
    if (rest === '/serviceconverge') {
      const json = { converged: true, wantedGeneration: generation, currentGeneration: generation };
      return { status: 200, json };
    }
    return read(this.files, rest.slice('/content/'.length), url);
  }

  private deploy(method: string, rest: string, url: URL, body: Buffer): Answer {
    if (rest === 'session') return this.begin(this.generation, new Map(this.files));
    if (rest === 'prepareandactivate') {
      const files = Object.entries(unzipSync(body)).map(([path, data]) => [path, Buffer.from(data)] as const);
      const begun = this.begin(this.generation, new Map(files));
      const id = String(this.nextSession - 1);
      const refused = this.refusal(this.sessions.get(id)!.files);
      return refused ?? (this.activate(id).status === 200 ? begun : { status: 409 });
    }
    const [, id, what] = /^session\/(\d+)\/(prepared|active|content\/.*)$/.exec(rest) ?? [];
    const session = this.sessions.get(id ?? '');
    if (id === undefined || what === undefined || session === undefined) return { status: 404 };
    if (what === 'prepared') return this.refusal(session.files) ?? { status: 200, json: {} };
    if (what === 'active') return this.activate(id);
    const path = what.slice('content/'.length);
    if (method === 'GET') return read(session.files, path, url);
    if (method === 'PUT') session.files.set(path, body);
    else session.files.delete(path);
    return { status: 200, json: {} };
  }

  private begin(base: number, files: Map<string, Buffer>): Answer {
    const id = String(this.nextSession++);
    this.sessions.set(id, { base, files });
    return { status: 200, json: { 'session-id': id, activated: true } };
  }

  private refusal(files: Files): Answer | undefined {
    const types = mapped(files);
    const bare = types.find((name) => !files.has(`schemas/${name}.sd`));
    if (bare !== undefined) return invalid(`no schema ${bare}`);
    if (new Set(types.map(javaHashCode)).size !== types.length)
      return invalid('two document types have one id');
    const removed = mapped(this.files).filter((name) => !types.includes(name));
    const allowed = files.get('validation-overrides.xml')?.includes('>schema-removal</allow>') ?? false;
    return removed.length > 0 && !allowed ? invalid(`schema-removal: ${removed.join(', ')}`) : undefined;
  }

  private activate(id: string): Answer {
    const { base, files } = this.sessions.get(id)!;
    this.sessions.delete(id);
    if (base !== this.generation) return { status: 409, json: { 'error-code': 'ACTIVATION_CONFLICT' } };
    this.files = files;
    this.generation = Number(id);
    const types = new Set(mapped(files));
    for (const name of this.documents.keys()) if (!types.has(name)) this.documents.delete(name);
    for (const name of types) if (!this.documents.has(name)) this.documents.set(name, new Map());
    return { status: 200, json: {} };
  }

  private document(method: string, path: string, url: URL, body: Buffer): Answer {
    const selection = url.searchParams.get('selection');
    if (selection !== null) {
      const ids = [...(this.documents.get(selection)?.keys() ?? [])];
      return { status: 200, json: { documents: ids.map((id) => ({ id })), documentCount: ids.length } };
    }
    const [, schema, id] = /^\/document\/v1\/[^/]+\/([^/]+)\/docid\/(.+)$/.exec(path) ?? [];
    const stored = this.documents.get(schema ?? '');
    if (stored === undefined || id === undefined)
      return { status: 400, json: { message: `no document type ${schema ?? path}` } };
    if (method === 'GET') {
      const found = stored.get(id);
      return found === undefined ? { status: 404, json: {} } : { status: 200, bytes: found };
    }
    if (method === 'DELETE') stored.delete(id);
    else stored.set(id, body);
    return { status: 200, json: {} };
  }
}

function read(files: Files, path: string, url: URL): Answer {
  if (path === '') {
    const urls = [...files.keys()].map((file) => `${url.origin}${url.pathname}${file}`);
    return { status: 200, json: urls };
  }
  const bytes = files.get(path);
  return bytes === undefined ? { status: 404 } : { status: 200, bytes };
}

function invalid(message: string): Answer {
  return { status: 400, json: { 'error-code': 'INVALID_APPLICATION_PACKAGE', message } };
}

function mappingLines(files: Files): string[] {
  const text = (files.get(SERVICES)?.toString() ?? '').replaceAll(/<!--[^]*?-->/g, '');
  return text.split('\n').filter((line) => line.includes('<document '));
}

function mapped(files: Files): string[] {
  return mappingLines(files).flatMap((line) => /<document [^>]*type="([^"]+)"/.exec(line)?.slice(1) ?? []);
}

/** By identity: a file's bytes never change, and most files of a package stay for many generations. */
const hashes = new WeakMap<Buffer, string>();
function hash(bytes: Buffer): string {
  const known = hashes.get(bytes);
  if (known !== undefined) return known;
  const value = createHash('sha256').update(bytes).digest('hex');
  hashes.set(bytes, value);
  return value;
}
