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
  record: Omit<VideoRecord, 'complete'>,
): Promise<void> {
  const { rowCount } = await db.query(
    `update videos set sha256 = $4, profile_version = $5, encoder = $6, documents = $7, complete = true, stored_at = now()
     where incarnation = $1 and base_schema = $2 and video = $3`,
    [
      key.incarnation,
      key.base,
      key.video,
      record.sha256,
      record.profileVersion,
      record.encoder,
      record.documents,
    ],
  );
  if (rowCount !== 1) throw new Error(`video ${key.video} was fed without a note before it`);
}

/** How many documents a schema must and may hold: those of whole videos, and with those of videos that were begun. */
export async function documentBounds(
  db: Queryable,
  incarnation: Incarnation,
  base: BaseSchema,
): Promise<{ least: number; most: number }> {
  const { rows } = await db.query<{ least: number; most: number }>(
    `select coalesce(sum(documents) filter (where complete), 0)::bigint as least,
       coalesce(sum(documents), 0)::bigint as most
     from videos where incarnation = $1 and base_schema = $2`,
    [incarnation, base],
  );
  return rows[0]!;
}
