import { allConfigVersions } from '../registry/config.js';
import type { Pool } from '../registry/database.js';
import { videoPages } from '../registry/videoRows.js';
import type { BackupConfig, BackupVideo, ManifestPart } from '../contracts/backup.js';
import { OpsError } from '../domain/errors.js';
import type { Incarnation } from '../domain/ids.js';
import type { ConfigServer } from '../vespa/configServer.js';
import type { BackupPlace } from './format/place.js';
import { type WriteOptions, writePart, writeTextPart } from './format/writePart.js';
import type { SliceRow } from '../registry/backupProgress.js';

/** Every version of a life's configuration. */
export async function writeConfigPart(
  pool: Pool,
  place: BackupPlace,
  incarnation: Incarnation,
  options: WriteOptions,
): Promise<ManifestPart> {
  const versions = await allConfigVersions(pool, incarnation);
  const config: BackupConfig = {
    // Left out where there is none: what read backups before there was the field reads these too.
    versions: versions.map(({ vouched, ...version }) => ({
      ...version,
      ...(vouched.length > 0 ? { vouched: [...vouched] } : {}),
    })),
  };
  const text = Buffer.from(`${JSON.stringify(config)}\n`);
  return writeTextPart(place, { kind: 'config' }, { text, count: config.versions.length }, options);
}

/** The texts of the schemas as the package has them. @throws OpsError `Unavailable` when one is not in it */
export async function writeSchemaParts(
  configServer: ConfigServer,
  place: BackupPlace,
  schemas: readonly Pick<SliceRow, 'base' | 'schema'>[],
  options: WriteOptions,
): Promise<ManifestPart[]> {
  const parts: ManifestPart[] = [];
  for (const { base, schema } of schemas) {
    const text = await configServer.readFile(`schemas/${schema}.sd`);
    if (text === undefined)
      throw new OpsError(
        'Unavailable',
        `schema ${schema} is not in the application package`,
        'put it back first: cvops schema verify --repair',
      );
    parts.push(await writeTextPart(place, { kind: 'schema', base }, { text, count: 1 }, options));
  }
  return parts;
}

/** What is known of the videos, so that an ingest after a restore finds them unchanged. */
export function writeVideosPart(
  pool: Pool,
  place: BackupPlace,
  incarnation: Incarnation,
  options: WriteOptions,
): Promise<ManifestPart> {
  async function* lines(): AsyncGenerator<Buffer> {
    for await (const page of videoPages(pool, incarnation))
      for (const video of page satisfies readonly BackupVideo[]) yield Buffer.from(JSON.stringify(video));
  }
  return writePart(place, { kind: 'videos' }, lines(), options);
}
