import type { Incarnation } from '../domain/ids.js';
import type { BaseSchema } from '../domain/profiles.js';
import type { Queryable } from './database.js';
import { storableText } from './storable.js';

export interface VideoKey {
  readonly incarnation: Incarnation;
  readonly base: BaseSchema;
  readonly video: string;
}

/** What a video was last stored as. */
export interface VideoRecord {
  readonly sha256: string;
  readonly profileVersion: number;
  readonly encoder: string;
  /** Document ids `0 … documents - 1` may exist; exactly those do when `complete`. */
  readonly documents: number;
  readonly complete: boolean;
}

/** What is known of a video's files, to tell without reading them whether they changed. */
export interface KnownVideo extends Pick<VideoRecord, 'profileVersion' | 'encoder' | 'complete'> {
  readonly fingerprint: string | null;
  readonly failedFingerprint: string | null;
}

/** Of those that have a row. */
export async function knownVideos(
  db: Queryable,
  incarnation: Incarnation,
  base: BaseSchema,
  videos: readonly string[],
): Promise<ReadonlyMap<string, KnownVideo>> {
  const { rows } = await db.query<KnownVideo & { video: string }>(
    `select video, profile_version as "profileVersion", encoder, complete, fingerprint,
       failed_fingerprint as "failedFingerprint"
     from videos where incarnation = $1 and base_schema = $2 and video = any($3)`,
    [incarnation, base, videos],
  );
  return new Map(rows.map((row) => [row.video, row]));
}

export async function getVideo(db: Queryable, key: VideoKey): Promise<VideoRecord | undefined> {
  const { rows } = await db.query<VideoRecord>(
    `select sha256, profile_version as "profileVersion", encoder, documents, complete from videos
     where incarnation = $1 and base_schema = $2 and video = $3`,
    [key.incarnation, key.base, key.video],
  );
  return rows[0];
}

/** Says, before documents are written, that some may be there: `documents` never shrinks while incomplete. */
export async function noteFeeding(
  db: Queryable,
  key: VideoKey,
  path: string,
  documents: number,
): Promise<void> {
  await db.query(
    `insert into videos (incarnation, base_schema, video, path, sha256, profile_version, encoder, documents, complete)
     values ($1, $2, $3, $4, '', 0, '', $5, false)
     on conflict (incarnation, base_schema, video) do update
     set complete = false, path = excluded.path, documents = greatest(videos.documents, excluded.documents)`,
    [key.incarnation, key.base, key.video, storableText(path), documents],
  );
}

/**
 * Says that exactly these documents are there and were read back.
 *
 * @throws Error when no {@link noteFeeding} went before: documents would exist that a killed run could not name
 */
export async function noteStored(
  db: Queryable,
  key: VideoKey,
  record: Omit<VideoRecord, 'complete'> & { readonly fingerprint?: string | undefined },
): Promise<void> {
  const { rowCount } = await db.query(
    `update videos set sha256 = $4, profile_version = $5, encoder = $6, documents = $7, complete = true, stored_at = now(),
       fingerprint = $8, failed_fingerprint = null
     where incarnation = $1 and base_schema = $2 and video = $3`,
    [
      key.incarnation,
      key.base,
      key.video,
      record.sha256,
      record.profileVersion,
      record.encoder,
      record.documents,
      record.fingerprint ?? null,
    ],
  );
  if (rowCount !== 1) throw new Error(`video ${key.video} was fed without a note before it`);
}

/** The files look different and hold the same. */
export async function noteUnchanged(
  db: Queryable,
  key: VideoKey,
  fingerprint: string | undefined,
): Promise<void> {
  await db.query(
    `update videos set fingerprint = $4, failed_fingerprint = null
     where incarnation = $1 and base_schema = $2 and video = $3
       and (fingerprint is distinct from $4 or failed_fingerprint is not null)`,
    [key.incarnation, key.base, key.video, fingerprint ?? null],
  );
}

/** Says that files that look like this were refused for their own fault; no document of theirs is there. */
export async function noteRefused(
  db: Queryable,
  key: VideoKey,
  path: string,
  failedFingerprint: string,
): Promise<void> {
  await db.query(
    `insert into videos (incarnation, base_schema, video, path, sha256, profile_version, encoder, documents, complete, failed_fingerprint)
     values ($1, $2, $3, $4, '', 0, '', 0, false, $5)
     on conflict (incarnation, base_schema, video) do update set failed_fingerprint = excluded.failed_fingerprint`,
    [key.incarnation, key.base, key.video, storableText(path), failedFingerprint],
  );
}
