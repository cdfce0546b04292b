import { OpsError } from '../domain/errors.js';
import type { Incarnation } from '../domain/ids.js';
import type { ProfileName } from '../domain/profiles.js';
import type { Pool } from '../registry/database.js';
import { documentBounds } from '../registry/videos.js';
import { readPackage } from '../vespa/activePackage.js';
import type { ConfigServer } from '../vespa/configServer.js';
import type { DocumentClient } from '../vespa/documents.js';
import { countFound } from '../vespa/search.js';

/** A search, then visits: they take a while, and another run may store meanwhile. */
const LOOKS = 4;

/**
 * Counts a schema's documents, by a search, or by visiting them when that says anything unexpected, and compares with the
 * registry: at least those of the videos that are whole, at most those that may have been begun as well. The two are the
 * same while nothing else writes.
 *
 * @throws OpsError `Unavailable` when documents that were stored and read back are gone, or there are more than anybody
 *   wrote
 */
export async function compareCount(
  outside: {
    readonly pool: Pool;
    readonly documents: DocumentClient;
    readonly configServer: ConfigServer;
  },
  what: { readonly incarnation: Incarnation; readonly profile: ProfileName; readonly schema: string },
  signal?: AbortSignal,
): Promise<{ documents: number }> {
  const { pool, documents, configServer } = outside;
  const cluster = async () => (await readPackage(configServer)).contentCluster;
  const bounds = () => documentBounds(pool, what.incarnation, what.profile);
  for (let look = 1; ; look++) {
    const before = await bounds();
    const count =
      look === 1
        ? await countFound(documents, what.schema, signal)
        : await documents.count(what.schema, await cluster(), signal);
    const after = await bounds();
    const least = Math.min(before.least, after.least);
    const most = Math.max(before.most, after.most);
    if (count !== undefined && count >= least && count <= most) return { documents: count };
    if (count === undefined || look < LOOKS) continue;
    const expected = least === most ? `${least}` : `${least} to ${most}`;
    throw new OpsError(
      'Unavailable',
      `Vespa holds ${count} documents in ${what.schema} where ${expected} were stored`,
      count < least
        ? 'ingest the same source again: videos whose documents are gone are stored anew'
        : 'something else writes to this schema',
    );
  }
}
