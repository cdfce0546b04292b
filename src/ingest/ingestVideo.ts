import { createHash } from 'node:crypto';
import { OpsError } from '../domain/errors.js';
import { CONTENT_NAMESPACE } from '../domain/naming.js';
import { segmentDocumentId } from '../domain/documents.js';
import type { Incarnation, TenantId } from '../domain/ids.js';
import { PROFILES, type ProfileName } from '../domain/profiles.js';
import type { Encoder } from '../encoders/port.js';
import type { RateKey, TenantRates } from '../limits/rate.js';
import { VideoRoom } from '../quotas/video.js';
import type { Pool, Queryable } from '../registry/database.js';
import { storableText } from '../registry/storable.js';
import { getVideo, noteFeeding, noteFingerprint, noteStored } from '../registry/videos.js';
import type { VideoSourceReader } from '../sources/reader.js';
import type { DocumentClient } from '../vespa/documents.js';
import { type FeedItem, feed } from '../vespa/feed.js';
import { segmentBody } from '../vespa/embedding.js';
import { DocumentError, RetriesExhausted } from '../vespa/retry.js';
import { planSegments } from '../video/plan.js';
import type { Sidecar } from '../video/sidecar.js';
import { FFMPEG, type PreparedVideo, type VideoTools, prepareVideo } from './prepare.js';

export interface IngestResources {
  readonly pool: Pool;
  readonly documents: DocumentClient;
  readonly encoder: Encoder;
  readonly rates: TenantRates;
  /** ffmpeg and ffprobe when left out. */
  readonly tools?: VideoTools;
}

export interface VideoToIngest {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly profile: ProfileName;
  /** Physical schema, from the registry. */
  readonly schema: string;
  readonly source: Pick<VideoSourceReader, 'open'>;
  /** Its name in the source. */
  readonly path: string;
  readonly video: string;
  /** Milliseconds since the epoch; one for the whole run, so that a video done twice gives the same documents. */
  readonly timestamp: number;
}

export interface IngestedVideo {
  readonly state: 'stored' | 'unchanged';
  readonly documents: number;
}

/** Documents in flight per video: encoding one segment takes longer than feeding it. */
const FEED_CONCURRENCY = 8;

/**
 * One video from file to documents that were read back. Killed at any line and run again it ends the same: document ids
 * are made of the video and the position, puts replace, and the registry names every id that may have been written
 * before it is.
 *
 * @param prepared of just this video, where that was begun before; it is disposed of here
 * @throws OpsError `Rejected` with a plain reason when the file cannot be ingested, `QuotaExceeded`; DocumentError, naming the document, when
 *   Vespa refuses one for good. None of its documents is left by then, unless it had not been touched
 */
export async function ingestVideo(
  resources: IngestResources,
  video: VideoToIngest,
  signal?: AbortSignal,
  prepared?: Promise<PreparedVideo>,
): Promise<IngestedVideo> {
  const { pool, documents, encoder, rates, tools = FFMPEG } = resources;
  const profile = PROFILES[video.profile];
  await using ready = await (prepared ?? prepareVideo(tools, video, signal));
  const { file, fingerprint = null, probed, sidecar } = ready;
  const key = { incarnation: video.incarnation, base: video.profile, video: video.video };
  const sha256 = contentHash(probed.sha256, sidecar);

  const before = await getVideo(pool, key);
  // A chance of one in 10^14 for two given paths, but of two in a thousand over a million.
  if (before && before.path !== storableText(video.path))
    throw new OpsError(
      'Rejected',
      `its id ${video.video} is that of ${before.path}`,
      'rename one of the two',
    );
  const same =
    before?.complete &&
    before.sha256 === sha256 &&
    before.profileVersion === profile.version &&
    before.encoder === encoder.id;
  const there = same && (await readBack(documents, video, before.documents, signal));
  if (there) {
    if (fingerprint !== null && fingerprint !== before.fingerprint)
      await noteFingerprint(pool, key, fingerprint);
    // Killed after its last document and before its end was written down: this run stored it all the same.
    const ours = there['creation_timestamp'] === video.timestamp;
    return { state: ours ? 'stored' : 'unchanged', documents: before.documents };
  }

  const expected = planSegments(probed.durationSeconds, probed.fps, profile.segmentation).segments.length;
  const room = await VideoRoom.of(pool, video, `${key.base}/${key.video}`);
  return await room.during(signal, async (signal) => {
    let [segments, bytes] = [0, 0];
    async function* bodies(): AsyncGenerator<FeedItem> {
      for await (const segment of tools.segments(file, probed, profile.segmentation, {
        size: encoder.frameSize,
        signal,
      })) {
        const vectors = await encoder.encodeFrames(segment, profile, signal);
        const fields = fieldsOf(video, profile.hasDescription, sidecar, segment);
        const body = segmentBody(fields, vectors, profile.dimensions);
        bytes += body.byteLength;
        const note = (db: Queryable) => noteFeeding(db, key, video.path, Math.max(1, segments * 2));
        if (segments === 0) {
          const size = { documents: Math.max(1, expected), bytes: bytes * Math.max(1, expected) };
          await room.begin(size, note);
        } else {
          await room.upTo({ documents: segments + 1, bytes });
          // In powers of two, so that a long video costs a few writes, not one a segment.
          if ((segments & (segments - 1)) === 0) await note(pool);
        }
        yield { at: address(video, segments++), body };
      }
    }
    try {
      const paced = rates.paced(rateOf(video), bodies(), signal);
      await feed(documents, paced, { concurrency: FEED_CONCURRENCY, ...(signal ? { signal } : {}) });
      if (segments === 0) throw new OpsError('Rejected', 'no picture could be read');
    } catch (error) {
      // Damage that only shows while decoding, a document that is refused: a half-fed video would be found by searches and
      // counted by nobody. One for which there was no room has not been touched: what it would replace stays.
      if (isOwnFault(error) && !(segments === 0 && before?.complete && isOverQuota(error)))
        await removeAll(resources, video, Math.max(before?.documents ?? 0, segments), signal);
      throw error;
    }

    // What a longer former version, or a killed run of it, left behind.
    await removeAll(resources, video, before?.documents ?? 0, signal, segments);
    if (!(await readBack(documents, video, segments, signal)))
      throw new Error('documents that were acknowledged are not there');
    const record = {
      ...{ sha256, profileVersion: profile.version, encoder: encoder.id },
      ...{ documents: segments, bytes, fingerprint },
    };
    await room.settle((db) => noteStored(db, key, record));
    return { state: 'stored', documents: segments };
  });
}

/** Worth another try once something was deleted, or the limit raised: nothing is wrong with the file. */
export function isOverQuota(error: unknown): error is OpsError {
  return error instanceof OpsError && error.type === 'QuotaExceeded';
}

/** What another attempt would not change. */
function isOwnFault(error: unknown): boolean {
  if (error instanceof RetriesExhausted) return error.reach !== 'server';
  return error instanceof OpsError || error instanceof DocumentError;
}

function address(video: Pick<VideoToIngest, 'schema' | 'video'>, segment: number): FeedItem['at'] {
  return { namespace: CONTENT_NAMESPACE, schema: video.schema, id: segmentDocumentId(video.video, segment) };
}

function rateOf({ incarnation }: Pick<VideoToIngest, 'incarnation'>): RateKey {
  return { incarnation, kind: 'feed' };
}

/**
 * Removes documents `from … end - 1`; those that are not there are fine.
 *
 * @param resources without `rates`, as fast as it goes
 */
export async function removeAll(
  { documents, rates }: Pick<IngestResources, 'documents'> & Partial<Pick<IngestResources, 'rates'>>,
  video: Pick<VideoToIngest, 'incarnation' | 'schema' | 'video'>,
  end: number,
  signal?: AbortSignal,
  from = 0,
): Promise<void> {
  for (let first = from; first < end; first += FEED_CONCURRENCY) {
    const some = Array.from({ length: Math.min(FEED_CONCURRENCY, end - first) }, async (_, i) => {
      await rates?.take(rateOf(video), signal);
      await documents.remove(address(video, first + i), signal);
    });
    await Promise.all(some);
  }
}

/**
 * Reads every document back by its id, and looks that it is of this life of the tenant.
 *
 * @returns fields of the first; undefined when one is missing
 */
async function readBack(
  documents: DocumentClient,
  video: VideoToIngest,
  count: number,
  signal?: AbortSignal,
): Promise<Record<string, unknown> | undefined> {
  const fieldSet = `${video.schema}:tenant_id,incarnation,video_id,creation_timestamp`;
  let first: Record<string, unknown> | undefined;
  for (let from = 0; from < count; from += FEED_CONCURRENCY) {
    const found = await Promise.all(
      Array.from({ length: Math.min(FEED_CONCURRENCY, count - from) }, (_, i) =>
        documents.get(address(video, from + i), { fieldSet, signal }),
      ),
    );
    for (const fields of found) {
      if (fields?.['incarnation'] !== video.incarnation || fields['video_id'] !== video.video)
        return undefined;
      first ??= fields;
    }
  }
  return first;
}

/** A changed transcript changes what is stored as much as a changed picture. */
function contentHash(videoSha256: string, sidecar: Sidecar): string {
  return createHash('sha256').update(`${videoSha256}\n${sidecar.fingerprint}`).digest('hex');
}

function fieldsOf(
  video: VideoToIngest,
  hasDescription: boolean,
  sidecar: Sidecar,
  segment: { readonly index: number; readonly start: number; readonly end: number },
): Record<string, unknown> {
  const { index, start, end } = segment;
  return {
    tenant_id: video.tenant,
    incarnation: video.incarnation,
    video_id: video.video,
    video_title: text(
      sidecar.title ??
        video.path
          .replace(/^.*\//, '')
          .replace(/\.[^.]*$/, '')
          .replace(/[_-]+/g, ' '),
    ),
    source_url: text(video.path),
    creation_timestamp: video.timestamp,
    segment_id: index,
    start_time: start,
    end_time: end,
    audio_transcript: text(sidecar.transcriptAt(start, end)),
    ...(hasDescription ? { segment_description: text(sidecar.descriptionAt(start, end)) } : {}),
  };
}

/** Vespa refuses control characters and non-characters in strings; a name or transcript may hold any. */
function text(value: string): string {
  return value.replace(/[\p{Cc}\p{Cs}\p{Cn}]/gu, ' ').slice(0, 100_000);
}
