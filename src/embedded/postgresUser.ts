import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';

const NAME = 'postgres';

export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Who PostgreSQL runs as: it refuses root, so for root the system user `postgres`, which is made when missing.
 *
 * @returns undefined when this process is not root: PostgreSQL then runs as the same user
 */
export function postgresUser(): UserIds | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const known = idsOf(NAME);
  if (known) return known;
  try {
    execFileSync('useradd', ['--system', '--user-group', '--no-create-home', NAME], { stdio: 'pipe' });
  } catch {
    // No useradd (Alpine), or it failed: said below.
  }
  const made = idsOf(NAME);
  if (made) return made;
  throw new OpsError(
    'Unavailable',
    `PostgreSQL does not run as root, and the user ${NAME} cannot be made`,
    `make it (useradd --system ${NAME}), run cvops as another user, or set DATABASE_URL`,
  );
}

function idsOf(name: string): UserIds | undefined {
  try {
    const id = (flag: string) =>
      Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return undefined;
  }
}

/**
 * A root's private home folder is closed to the user PostgreSQL runs as. Found before the start: the server itself only
 * says "permission denied", about a library or the data folder.
 *
 * @throws OpsError `Unavailable` naming the folder in the way
 */
export function requireReach(paths: readonly string[], user: UserIds): void {
  for (const target of paths) {
    for (const folder of ancestors(path.resolve(target))) {
      const { mode, uid, gid } = statSync(folder);
      const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
      if (mode & bit) continue;
      throw new OpsError(
        'Unavailable',
        `PostgreSQL runs as the user ${NAME}, who may not enter ${folder}`,
        `chmod o+x ${folder}, or move the project (and CVOPS_HOME) to another folder, or set DATABASE_URL`,
      );
    }
  }
}

function ancestors(file: string): string[] {
  const parent = path.dirname(file);
  return parent === file ? [] : [...ancestors(parent), parent];
}
