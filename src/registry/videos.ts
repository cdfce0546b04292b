import type { Incarnation } from '../domain/ids.js';
import { type BaseSchema, PROFILES, type ProfileName } from '../domain/profiles.js';
import type { Queryable } from './database.js';
import { storableText } from './storable.js';

export interface VideoKey {
  readonly incarnation: Incarnation;
  readonly base: BaseSchema;
  readonly video: string;
}

/** What a video was last stored as. */
export interface VideoRecord {
  /** Which file or object it was: an id is made of it, and two with one id must not overwrite each other. */
  readonly path: string;
  readonly sha256: string;
  readonly profileVersion: number;
  readonly encoder: string;
  /** Document ids `0 … documents - 1` may exist; exactly those do when `complete`. */
  readonly documents: number;
  readonly complete: boolean;
  /** Of those documents as they were sent; 0 when stored by a version that did not note it. */
  readonly bytes: number;
  /** How it looked in its source then; null when that was not noted. */
  readonly fingerprint: string | null;
}

export async function getVideo(db: Queryable, key: VideoKey): Promise<VideoRecord | undefined> {
  const { rows } = await db.query<VideoRecord>(
    `select path, sha256, profile_version as "profileVersion", encoder, documents, complete, bytes, fingerprint from videos
     where incarnation = $1 and base_schema = $2 and video = $3`,
    [key.incarnation, key.base, key.video],
  );
  return rows[0];
}

/**
 * Says, before documents are written, that some may be there: `documents` never shrinks while incomplete.
 *
 * @throws Error when the id is another path's, which {@link getVideo} shows at the next attempt
 */
export async function noteFeeding(
  db: Queryable,
  key: VideoKey,
  path: string,
  documents: number,
): Promise<void> {
  const { rowCount } = await db.query(
    `insert into videos (incarnation, base_schema, video, path, sha256, profile_version, encoder, documents, complete)
     values ($1, $2, $3, $4, '', 0, '', $5, false)
     on conflict (incarnation, base_schema, video) do update
     set complete = false, documents = greatest(videos.documents, excluded.documents)
     where videos.path = excluded.path`,
    [key.incarnation, key.base, key.video, storableText(path), documents],
  );
  if (rowCount !== 1) throw new Error(`video ${key.video} was begun by another path meanwhile`);
}

/**
 * Says that exactly these documents are there and were read back.
 *
 * @throws Error when no {@link noteFeeding} went before: documents would exist that a killed run could not name
 */
export async function noteStored(
  db: Queryable,
  key: VideoKey,
  record: Omit<VideoRecord, 'complete' | 'path'>,
): Promise<void> {
  const { rowCount } = await db.query(
    `update videos set sha256 = $4, profile_version = $5, encoder = $6, documents = $7, fingerprint = $8, bytes = $9, complete = true, stored_at = now(),
       refused_as = null
     where incarnation = $1 and base_schema = $2 and video = $3`,
    [
      key.incarnation,
      key.base,
      key.video,
      record.sha256,
      record.profileVersion,
      record.encoder,
      record.documents,
      record.fingerprint,
      record.bytes,
    ],
  );
  if (rowCount !== 1) throw new Error(`video ${key.video} was fed without a note before it`);
}

/** Notes how a stored video looks in its source now; one that is being fed keeps none. */
export async function noteFingerprint(db: Queryable, key: VideoKey, fingerprint: string): Promise<void> {
  await db.query(
    `update videos set fingerprint = $4 where incarnation = $1 and base_schema = $2 and video = $3 and complete`,
    [key.incarnation, key.base, key.video, fingerprint],
  );
}

/** How a video is stored: what, beside its content, an unchanged one has in common with its record. */
export interface StoredAs
  extends Pick<VideoKey, 'incarnation' | 'base'>, Pick<VideoRecord, 'profileVersion' | 'encoder'> {}

/** How a video of a profile is stored now, by this encoder. */
export function storedAs(incarnation: Incarnation, profile: ProfileName, encoder: string): StoredAs {
  return { incarnation, base: profile, profileVersion: PROFILES[profile].version, encoder };
}

/** @returns paths of those that are stored whole, in this way, and looked the same in their source */
export async function unchangedPaths(
  db: Queryable,
  as: StoredAs,
  entries: readonly { readonly path: string; readonly video: string; readonly fingerprint: string }[],
): Promise<Set<string>> {
  const { rows } = await db.query<{ path: string }>(
    `select path from videos join unnest($5::text[], $6::text[], $7::text[]) as listed (video, path, fingerprint)
       using (video, path, fingerprint)
     where incarnation = $1 and base_schema = $2 and profile_version = $3 and encoder = $4 and complete`,
    [
      as.incarnation,
      as.base,
      as.profileVersion,
      as.encoder,
      entries.map(({ video }) => video),
      entries.map(({ path }) => path),
      entries.map(({ fingerprint }) => fingerprint),
    ],
  );
  return new Set(rows.map(({ path }) => path));
}

/**
 * Says that a video that looks like this was refused for its own fault. What is stored of a former version stays as the
 * row says it.
 */
export async function noteRefused(
  db: Queryable,
  as: StoredAs,
  item: { readonly path: string; readonly video: string; readonly fingerprint: string },
): Promise<void> {
  await db.query(
    `insert into videos (incarnation, base_schema, video, path, sha256, profile_version, encoder, documents, complete, refused_as)
     values ($1, $2, $3, $4, '', 0, '', 0, false, $5)
     on conflict (incarnation, base_schema, video) do update set refused_as = excluded.refused_as
     where videos.path = excluded.path`,
    [as.incarnation, as.base, item.video, storableText(item.path), refusedAs(as, item.fingerprint)],
  );
}

/** @returns paths of those that were refused when they looked the same */
export async function refusedPaths(
  db: Queryable,
  as: StoredAs,
  entries: readonly { readonly path: string; readonly video: string; readonly fingerprint: string }[],
): Promise<Set<string>> {
  const { rows } = await db.query<{ path: string }>(
    `select path from videos join unnest($3::text[], $4::text[], $5::text[]) as listed (video, path, refused_as)
       using (video, path, refused_as)
     where incarnation = $1 and base_schema = $2`,
    [
      as.incarnation,
      as.base,
      entries.map(({ video }) => video),
      entries.map(({ path }) => storableText(path)),
      entries.map(({ fingerprint }) => refusedAs(as, fingerprint)),
    ],
  );
  return new Set(rows.map(({ path }) => path));
}

/** Another encoder or profile version may take what this one did not. */
function refusedAs({ profileVersion, encoder }: StoredAs, fingerprint: string): string {
  return `${profileVersion} ${encoder} ${fingerprint}`;
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
