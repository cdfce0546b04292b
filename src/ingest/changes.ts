import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Pool } from '../registry/database.js';
import { PROFILES } from '../domain/profiles.js';
import { type VideoKey, knownVideos } from '../registry/videos.js';

export interface SourceEntry {
  readonly path: string;
  /** Differs when the video or a file beside it was written. */
  readonly fingerprint: string;
  /** When the youngest of these files was written, in ms since the epoch; undefined where none is ever half written. */
  readonly writtenAt?: number | undefined;
}

export interface ChangesOf {
  readonly incarnation: VideoKey['incarnation'];
  readonly profile: keyof typeof PROFILES;
  readonly encoder: string;
  readonly settleSeconds: number;
  /** Ms since the epoch, by the clock of whoever looks. */
  readonly now: number;
}

/**
 * The entries of a page of a source that an ingest of changes takes: not those that were stored, or refused for their
 * own fault, from files that looked the same; and none that is still being written.
 *
 * @param videoOf the video id of a path
 */
export async function changedEntries<E extends SourceEntry>(
  pool: Pool,
  of: ChangesOf,
  page: readonly E[],
  videoOf: (path: string) => string,
): Promise<E[]> {
  const settled = page.filter(({ writtenAt }) => isSettled(writtenAt, of));
  const known = await knownVideos(
    pool,
    of.incarnation,
    of.profile,
    settled.map((entry) => videoOf(entry.path)),
  );
  return settled.filter((entry) => {
    const record = known.get(videoOf(entry.path));
    if (record === undefined) return true;
    // Its own word, whatever else is in the row: a refusal comes after what was stored before it.
    if (record.failedFingerprint !== null) return record.failedFingerprint !== refusal(entry.fingerprint, of);
    return (
      !record.complete ||
      record.fingerprint !== entry.fingerprint ||
      record.profileVersion !== PROFILES[of.profile].version ||
      record.encoder !== of.encoder
    );
  });
}

/** What a refusal is noted under: another encoder or profile version may take what this one did not. */
export function refusal(
  fingerprint: string,
  { profile, encoder }: Pick<ChangesOf, 'profile' | 'encoder'>,
): string {
  return `${PROFILES[profile].version} ${encoder} ${fingerprint}`;
}

/** A time far in the future is a wrong clock or a wrong date, not a file under way. */
function isSettled(writtenAt: number | undefined, { settleSeconds, now }: ChangesOf): boolean {
  return writtenAt === undefined || Math.abs(now - writtenAt) >= settleSeconds * 1000;
}

/** How a file and the texts beside it look. One that cannot be looked at has a fingerprint too: why not. */
export async function folderEntry(root: string, relative: string): Promise<SourceEntry> {
  const file = path.join(root, ...relative.split('/'));
  const stem = file.replace(/\.[^./\\]*$/, '');
  const looks = await Promise.all([file, `${stem}.vtt`, `${stem}.srt`, `${stem}.json`].map(look));
  return {
    path: relative,
    fingerprint: looks.map(({ mark }) => mark).join(' '),
    writtenAt: Math.max(...looks.map(({ writtenAt }) => writtenAt)),
  };
}

async function look(file: string): Promise<{ mark: string; writtenAt: number }> {
  try {
    const { size, mtimeNs } = await stat(file, { bigint: true });
    return { mark: `${size}:${mtimeNs}`, writtenAt: Number(mtimeNs / 1_000_000n) };
  } catch (error) {
    return { mark: (error as NodeJS.ErrnoException).code ?? 'unreadable', writtenAt: 0 };
  }
}
