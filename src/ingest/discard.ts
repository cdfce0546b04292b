import type { Incarnation } from '../domain/ids.js';
import type { ProfileName } from '../domain/profiles.js';
import { getVideo } from '../registry/videos.js';
import { type IngestResources, removeAll } from './ingestVideo.js';

/**
 * Takes away what was fed of a video that is given up: searches would find half of it, and no count would have it. One
 * that is whole, of this or a former ingest, stays.
 */
export async function discardUnfinished(
  { pool, documents }: Pick<IngestResources, 'pool' | 'documents'>,
  video: {
    readonly incarnation: Incarnation;
    readonly profile: ProfileName;
    readonly schema: string;
    readonly video: string;
  },
): Promise<void> {
  const row = await getVideo(pool, {
    incarnation: video.incarnation,
    base: video.profile,
    video: video.video,
  });
  if (row && !row.complete) await removeAll({ documents }, video, row.documents);
}
