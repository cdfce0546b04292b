import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { OpsError } from '../domain/errors.js';
import { type PostgresBinaries, postgresBinaries } from './postgresBinaries.js';
import { type UserIds, postgresUser, requireReach } from './postgresUser.js';
import { type Command, commandLine, endProcess, identify, runCommand, writeWhole } from './processes.js';

const USER = 'postgres';
/** Made by a migration, without a login. */
const APP_ROLE = 'cvops_app';
const MAJOR = '18';
export const DATABASE = 'cvops';

/** An initialised cluster and how to run it. */
export interface PostgresCluster {
  readonly command: Command;
  /** Holds the password: for stack.json (mode 600) and environments, never for a log. */
  readonly url: string;
}

export interface PostgresOptions {
  /** False only for tests: a crash of the machine may then lose the cluster. */
  readonly fsync?: boolean;
}

/**
 * Makes the cluster at its first use and says how to start it: UTF-8, SCRAM passwords, on 127.0.0.1 only. Safe to call
 * on a cluster that exists; a lock file left by a server that was killed is taken away, a server left behind is ended.
 *
 * @param folder for the data and the password; made when missing
 * @throws OpsError `Unavailable` when it cannot be made or run here, with the next step
 */
export async function preparePostgres(
  folder: string,
  port: number,
  options: PostgresOptions = {},
): Promise<PostgresCluster> {
  await mkdir(folder, { recursive: true });
  const user = postgresUser();
  const binaries = await postgresBinaries();
  if (user) {
    await chmod(folder, 0o755);
    requireReach([binaries.postgres, path.join(folder, 'data')], user);
  }
  const data = path.join(folder, 'data');
  const password = await passwordOf(folder, data);
  if (existsSync(data)) await requireOurs(data);
  else await initialise(binaries, data, password, user);
  await endLeftover(data);

  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    fsync: options.fsync === false ? 'off' : 'on',
  };
  return {
    command: {
      file: binaries.postgres,
      args: [
        '-D',
        data,
        '-p',
        String(port),
        ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`]),
      ],
      env: { LC_ALL: 'C' },
      cwd: folder,
      ...user,
    },
    url: postgresUrl(USER, password, port),
  };
}

/** How a cluster that may not exist yet will be reached. */
export interface PostgresUrls {
  /** Of who owns the tables: migrates them, and is Phoenix's. What `preparePostgres` will answer with. */
  readonly owner: string;
  /** Of the role that works on them, and can neither change nor cut the audit log. */
  readonly app: string;
}

/** Passwords are made once, and kept in the folder. */
export async function plannedPostgresUrls(folder: string, port: number): Promise<PostgresUrls> {
  await mkdir(folder, { recursive: true });
  const owner = await passwordOf(folder, path.join(folder, 'data'));
  const file = path.join(folder, 'app-password');
  // A cluster of before it: the role's password is set at each start.
  if (!existsSync(file)) writeWhole(file, newPassword());
  return {
    owner: postgresUrl(USER, owner, port),
    app: postgresUrl(APP_ROLE, await readFile(file, 'utf8'), port),
  };
}

function postgresUrl(user: string, password: string, port: number): string {
  return `postgresql://${user}:${password}@127.0.0.1:${port}/${DATABASE}`;
}

function newPassword(): string {
  return randomBytes(24).toString('base64url');
}

async function passwordOf(folder: string, data: string): Promise<string> {
  const file = path.join(folder, 'password');
  if (!existsSync(file)) {
    if (existsSync(data))
      throw new OpsError('Unavailable', `${file} is gone, and nobody else knows it`, 'cvops down --wipe');
    writeWhole(file, newPassword());
  }
  return readFile(file, 'utf8');
}

async function requireOurs(data: string): Promise<void> {
  const major = (await readFile(path.join(data, 'PG_VERSION'), 'utf8')).trim();
  if (major === MAJOR) return;
  throw new OpsError(
    'Unavailable',
    `${data} was made by PostgreSQL ${major}, this is ${MAJOR}`,
    'start over with cvops down --wipe, or set DATABASE_URL',
  );
}

/** Beside its place and then renamed: initdb writes PG_VERSION early, a half-made cluster would be taken for a whole one. */
async function initialise(
  { initdb }: PostgresBinaries,
  data: string,
  password: string,
  user: UserIds | undefined,
): Promise<void> {
  const partial = `${data}.partial`;
  const passwordFile = `${data}.pwfile`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { mode: 0o700 });
  await rm(passwordFile, { force: true });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user) {
    await chown(partial, user.uid, user.gid);
    await chown(passwordFile, user.uid, user.gid);
  }
  try {
    await runCommand(
      {
        file: initdb,
        args: [
          ...[
            '-D',
            partial,
            '-U',
            USER,
            '--pwfile',
            passwordFile,
            '--auth',
            'scram-sha-256',
            '--encoding',
            'UTF8',
          ],
          // Bytes decide the order, Unicode what is upper and lower case: alike on every machine, whatever its locales.
          ...['--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8', '--locale', 'C'],
        ],
        env: { LC_ALL: 'C' },
        cwd: path.dirname(data),
        ...user,
      },
      () => undefined,
    );
    await rename(partial, data);
  } catch (error) {
    throw new OpsError('Unavailable', `cannot initialise PostgreSQL: ${(error as Error).message}`);
  } finally {
    await rm(passwordFile, { force: true });
    await rm(partial, { recursive: true, force: true });
  }
}

/**
 * A server killed with SIGKILL leaves `postmaster.pid`. PostgreSQL itself refuses to start when that number belongs to
 * any process of its user, and two servers on one folder would be the end of the data: so look what the process is.
 */
async function endLeftover(data: string): Promise<void> {
  const file = path.join(data, 'postmaster.pid');
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return;
  const pid = Number(text.split('\n', 1)[0]);
  const identity = Number.isInteger(pid) && pid > 0 ? identify(pid) : undefined;
  if (identity && commandLine(pid).includes(data)) await endProcess(identity, 'SIGINT', 20_000);
  await rm(file, { force: true });
}

/** Waits for nothing: call it when the server answers. Makes the database and Phoenix's schema in it. */
export async function preparedDatabase(url: string): Promise<void> {
  await query(maintenanceUrl(url), async (client) => {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  });
  await query(url, (client) => client.query('create schema if not exists phoenix'));
}

/** Lets the application's role log in, with the password of its URL. Once the migrations have made it; safe to do again. */
export async function openAppRole({ owner, app }: PostgresUrls): Promise<void> {
  const { password } = new URL(app);
  await query(owner, (client) =>
    client.query(`alter role ${APP_ROLE} login password ${pg.escapeLiteral(password)}`),
  );
}

/** @throws Error when it does not answer */
export async function postgresVersion(url: string): Promise<string> {
  return query(url, async (client) => {
    const { rows } = await client.query<{ server_version: string }>('show server_version');
    return rows[0]?.server_version ?? '';
  });
}

/** The same server's database that is always there. */
export function maintenanceUrl(url: string): string {
  const other = new URL(url);
  other.pathname = '/postgres';
  return other.href;
}

async function query<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3000, query_timeout: 5000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}
