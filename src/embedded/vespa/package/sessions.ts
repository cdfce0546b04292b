import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { checkPath } from './archive.js';

export interface SessionMeta {
  readonly id: number;
  readonly created: number;
  /** The session that was active when this one was made; 0 for none. */
  readonly base: number;
  readonly state: 'new' | 'prepared';
  /** How files written since differ from what the session began as. */
  readonly changes: Readonly<Record<string, 'new' | 'changed' | 'deleted'>>;
}

export const SESSION_LIFETIME_MS = 3600 * 1000;

/**
 * Sessions and the active pointer on disk: `sessions/<id>/{content/,meta.json}`, `counter.json`, `active.json`. Each small
 * file is replaced by rename, so that a kill leaves the old state or the new.
 */
export class SessionStore {
  private readonly root: string;

  constructor(dataDir: string) {
    this.root = path.join(dataDir, 'config');
    mkdirSync(path.join(this.root, 'sessions'), { recursive: true });
  }

  get active(): number {
    return this.readJson<{ generation: number }>('active.json')?.generation ?? 0;
  }

  setActive(generation: number): void {
    this.writeJson('active.json', { generation });
    for (const name of readdirSync(path.join(this.root, 'sessions'))) {
      const id = Number(name);
      const meta = this.meta(id);
      // Unactivated sessions live an hour; former active ones are of no more use.
      const old = meta === undefined || Date.now() - meta.created > SESSION_LIFETIME_MS;
      if (id !== generation && (old || id < generation - 50))
        rmSync(path.join(this.root, 'sessions', name), { recursive: true, force: true });
    }
  }

  clearActive(): void {
    rmSync(path.join(this.root, 'active.json'), { force: true });
  }

  create(fill: (content: string) => void): SessionMeta {
    const id = (this.readJson<{ last: number }>('counter.json')?.last ?? 1) + 1;
    this.writeJson('counter.json', { last: id });
    const content = this.contentDir(id);
    mkdirSync(content, { recursive: true });
    fill(content);
    const meta: SessionMeta = { id, created: Date.now(), base: this.active, state: 'new', changes: {} };
    this.save(meta);
    return meta;
  }

  createFromFiles(files: ReadonlyMap<string, Buffer>): SessionMeta {
    return this.create((content) => {
      for (const [name, body] of files)
        writeInto(content, name.replace(/^searchdefinitions\//, 'schemas/'), body);
    });
  }

  createFromActive(): SessionMeta {
    return this.create((content) => cpSync(this.contentDir(this.active), content, { recursive: true }));
  }

  meta(id: number): SessionMeta | undefined {
    return this.readJson<SessionMeta>(`sessions/${id}/meta.json`);
  }

  save(meta: SessionMeta): void {
    this.writeJson(`sessions/${meta.id}/meta.json`, meta);
  }

  remove(id: number): void {
    rmSync(path.join(this.root, 'sessions', String(id)), { recursive: true, force: true });
  }

  /** All files but those in or named with a leading dot, which are never listed. */
  files(id: number): Map<string, Buffer> {
    const content = this.contentDir(id);
    const names = existsSync(content) ? (readdirSync(content, { recursive: true }) as string[]) : [];
    const files = names
      .filter((name) => !hidden(name) && statSync(path.join(content, name)).isFile())
      .toSorted();
    return new Map(
      files.map((name) => [name.replaceAll(path.sep, '/'), readFileSync(path.join(content, name))]),
    );
  }

  /** Entries of a folder, or of the tree under it, as `name` and `name/`; undefined when there is no such folder. */
  list(id: number, folder: string, recursive: boolean): string[] | undefined {
    const dir = path.join(this.contentDir(id), checkPath(folder));
    if (!existsSync(dir) || !statSync(dir).isDirectory()) return undefined;
    const names = (readdirSync(dir, { recursive }) as string[]).filter((name) => !hidden(name));
    return names
      .map((name) =>
        (statSync(path.join(dir, name)).isDirectory() ? `${name}/` : name).replaceAll(path.sep, '/'),
      )
      .toSorted();
  }

  read(id: number, file: string): Buffer | undefined {
    const full = path.join(this.contentDir(id), checkPath(file));
    return existsSync(full) && statSync(full).isFile() ? readFileSync(full) : undefined;
  }

  write(meta: SessionMeta, file: string, body: Buffer | undefined): void {
    const name = checkPath(file);
    const there = this.read(meta.id, name) !== undefined;
    if (body === undefined) mkdirSync(path.join(this.contentDir(meta.id), name), { recursive: true });
    else writeInto(this.contentDir(meta.id), name, body);
    const changes =
      body === undefined
        ? meta.changes
        : { ...meta.changes, [name]: there ? ('changed' as const) : ('new' as const) };
    this.save({ ...meta, state: 'new', changes });
  }

  delete(meta: SessionMeta, file: string): boolean {
    const name = checkPath(file);
    const full = path.join(this.contentDir(meta.id), name);
    if (name === '' || !existsSync(full)) return false;
    rmSync(full, { recursive: true });
    this.save({ ...meta, state: 'new', changes: { ...meta.changes, [name]: 'deleted' } });
    return true;
  }

  /** Copies the active package's files to a folder of the caller's. */
  copyActive(to: string): void {
    cpSync(this.contentDir(this.active), to, { recursive: true });
  }

  private contentDir(id: number): string {
    return path.join(this.root, 'sessions', String(id), 'content');
  }

  private readJson<T>(name: string): T | undefined {
    try {
      return JSON.parse(readFileSync(path.join(this.root, name), 'utf8')) as T;
    } catch {
      return undefined;
    }
  }

  private writeJson(name: string, value: unknown): void {
    const file = path.join(this.root, name);
    writeFileSync(`${file}.partial`, JSON.stringify(value));
    renameSync(`${file}.partial`, file);
  }
}

export function md5(body: Buffer): string {
  return createHash('md5').update(body).digest('hex');
}

function hidden(name: string): boolean {
  return name.split(path.sep).some((part) => part.startsWith('.'));
}

function writeInto(content: string, name: string, body: Buffer): void {
  const full = path.join(content, checkPath(name));
  mkdirSync(path.dirname(full), { recursive: true });
  writeFileSync(full, body);
}
