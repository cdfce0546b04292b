import { type BackupVideo, backupVideo } from '../../contracts/backup.js';
import { stillVouched } from '../../domain/config/references.js';
import { CONFIG_KEYS, SYSTEM_CONFIG, fixedSystemFields, placeName } from '../../domain/config/keys.js';
import { OpsError } from '../../domain/errors.js';
import { MEMORY_SCHEMA } from '../../domain/profiles.js';
import {
  type ConfigVersion,
  currentConfig,
  lockConfig,
  putConfig,
  replaceConfigHistory,
} from '../../registry/config.js';
import { type Pool, type Queryable, transaction } from '../../registry/database.js';
import type { OperationRow } from '../../registry/operations.js';
import type { TenantLife } from '../../registry/tenants.js';
import { deleteVideos, insertVideos } from '../../registry/videoRows.js';
import { readPart } from '../format/readPart.js';
import { type RestoreSource, readConfig } from './source.js';

const BATCH = 1000;

/**
 * Puts configuration and what is known of the videos back, all of it or none. A life that was just made gets the whole
 * history, also when a former restore into it had failed; one that has a history of its own gets a new version of each key
 * that differs.
 *
 * An administrator who restores a tenant answers for the secret references that one answered for then. In what anybody else
 * restores they are as in what an operator writes: those that stay are vouched for, the others held to the tenant's places.
 */
export async function restoreRegistry(
  pool: Pool,
  source: RestoreSource,
  to: TenantLife,
  { by, signal }: { readonly by: OperationRow; readonly signal: AbortSignal },
): Promise<{ versions: number; videos: number }> {
  const { manifest } = source;
  const memory = manifest.schemas.some(({ base }) => base === MEMORY_SCHEMA);
  const vouches = by.input['vouches'] === true;
  const versions = (await readConfig(source, signal)).map((v) =>
    owned({ ...v, vouched: (vouches && v.vouched) || [] } as ConfigVersion, to, memory),
  );
  return transaction(pool, async (tx) => {
    await lockConfig(tx, to.incarnation);
    const written =
      by.input['fresh'] === true
        ? await replaceConfigHistory(tx, to.incarnation, versions).then(() => versions.length)
        : await appendChanges(tx, to, versions, by, source);
    await deleteVideos(tx, to.incarnation);
    return { versions: written, videos: await putVideos(tx, source, to, signal) };
  });
}

/** The names of things that are the tenant's own are not those of whose backup it is. */
function owned(version: ConfigVersion, { tenant }: TenantLife, memoryEnabled: boolean): ConfigVersion {
  const { scope, service, key } = SYSTEM_CONFIG;
  if (version.scope !== scope || version.service !== service || version.key !== key) return version;
  return { ...version, value: { ...version.value, ...fixedSystemFields(tenant, memoryEnabled) } };
}

async function appendChanges(
  tx: Queryable,
  { incarnation }: TenantLife,
  versions: readonly ConfigVersion[],
  { principal }: OperationRow,
  { manifest }: RestoreSource,
): Promise<number> {
  const placeOf = ({ scope, service, key }: ConfigVersion) => JSON.stringify([scope, service, key]);
  const now = new Map((await currentConfig(tx, incarnation)).map((v) => [placeOf(v), v]));
  const last = new Map(versions.map((v) => [placeOf(v), v]));
  let written = 0;
  for (const [place, { scope, service, key, value, vouched: restored }] of last) {
    const there = now.get(place);
    const isSame = there !== undefined && sorted(there.value) === sorted(value);
    if (isSame && restored.every((path) => there.vouched.includes(path))) continue;
    const rules = CONFIG_KEYS.find((each) => placeName(each) === placeName({ scope, service, key }));
    const kept = rules && there ? stillVouched(rules, there, value) : [];
    const vouched = [...new Set([...kept, ...restored])].toSorted();
    const write = { value, vouched, author: principal, reason: `restored from backup ${manifest.backup}` };
    await putConfig(tx, { incarnation, scope, service, key }, there?.version ?? 0, write);
    written++;
  }
  return written;
}

/** Postgres orders the keys of its JSON in its own way. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

async function putVideos(
  tx: Queryable,
  { place, manifest, key }: RestoreSource,
  { incarnation }: TenantLife,
  signal: AbortSignal,
): Promise<number> {
  const part = manifest.parts.find(({ kind }) => kind === 'videos');
  if (part === undefined) return 0;
  let batch: BackupVideo[] = [];
  for await (const line of readPart(place, part, { key, signal })) {
    const parsed = backupVideo.safeParse(JSON.parse(line.toString('utf8')));
    if (!parsed.success) throw new OpsError('VerificationFailed', `part ${part.path}: a line is no video`);
    batch.push(parsed.data);
    if (batch.length < BATCH) continue;
    await insertVideos(tx, incarnation, batch);
    batch = [];
  }
  await insertVideos(tx, incarnation, batch);
  return part.count;
}
