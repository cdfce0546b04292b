import type { BackupVideo } from '../contracts/backup.js';
import type { Incarnation } from '../domain/ids.js';
import type { Queryable } from './database.js';

const PAGE = 1000;

/** Everything that is known of a life's videos, in pages by schema and id. */
export async function* videoPages(
  db: Queryable,
  incarnation: Incarnation,
): AsyncGenerator<readonly BackupVideo[], void> {
  let after: readonly [string, string] = ['', ''];
  for (;;) {
    const { rows } = await db.query<BackupVideo>(
      `select base_schema as base, video, path, sha256, profile_version as "profileVersion", encoder, documents, complete,
         fingerprint, refused_as as "refusedAs", bytes
       from videos where incarnation = $1 and (base_schema, video) > ($2, $3) order by base_schema, video limit $4`,
      [incarnation, ...after, PAGE],
    );
    if (rows.length > 0) yield rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    after = [last.base, last.video];
  }
}

/** Nothing is known of the life's videos any more; the documents are not touched. */
export async function deleteVideos(tx: Queryable, incarnation: Incarnation): Promise<void> {
  await tx.query('delete from videos where incarnation = $1', [incarnation]);
}

/** @param videos at most a few thousand; those that are there stay as they are */
export async function insertVideos(
  tx: Queryable,
  incarnation: Incarnation,
  videos: readonly BackupVideo[],
): Promise<void> {
  await tx.query(
    `insert into videos (incarnation, base_schema, video, path, sha256, profile_version, encoder, documents, complete,
       fingerprint, refused_as, bytes)
     select $1, base, video, path, sha256, "profileVersion", encoder, documents, complete, fingerprint, "refusedAs",
       coalesce(bytes, 0)
     from jsonb_to_recordset($2::jsonb) as row (base text, video text, path text, sha256 text, "profileVersion" int,
       encoder text, documents int, complete boolean, fingerprint text, "refusedAs" text, bytes bigint)
     on conflict do nothing`,
    [incarnation, JSON.stringify(videos)],
  );
}
