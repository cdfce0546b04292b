import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROFILE_NAMES, type ProfileName } from '../../src/domain/profiles.js';
import { binarize } from '../../src/encoders/binarize.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { CONTENT_CLUSTER } from '../../src/vespa/package/services.js';
import { NO_LIMIT, cvopsJson, freshTenant, stackSettings } from '../support/cvops.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

interface Ingested {
  readonly videos: { stored: number; unchanged: number; failed: number };
  readonly documents: number;
}
interface Found {
  readonly hits: { id: string; video: string; start: number; end: number }[];
}
/** As document/v1 gives it. */
interface Blocks {
  readonly type: string;
  readonly blocks: Readonly<Record<string, readonly number[]>>;
}
/** What is said and shown from `start` to `end`. */
interface Segment {
  readonly start: number;
  readonly end: number;
  readonly said: string;
  readonly shown?: string;
}

const [NOON, FERRY, DAWN] = ['marrakesh at noon', 'the ferry leaves', 'zanzibar at dawn'];

/** What a clip of 40 s must come to under each profile: these of its documents, `rows` vectors each. */
const EXPECTED: Record<
  ProfileName,
  { documents: number; dimensions: number; rows: number; segments: Record<number, Segment> }
> = {
  video_colpali_smol500_mv_frame: {
    ...{ documents: 40, dimensions: 128, rows: 64 },
    segments: {
      0: { start: 0, end: 1, said: '', shown: 'a red wall' },
      1: { start: 1, end: 2, said: NOON, shown: 'a red wall' },
      34: { start: 34, end: 35, said: DAWN, shown: 'a blue wall' },
    },
  },
  video_videoprism_base_mv_chunk_30s: {
    ...{ documents: 2, dimensions: 768, rows: 16 },
    segments: {
      0: { start: 0, end: 30, said: `${NOON} ${FERRY}` },
      1: { start: 30, end: 40, said: DAWN },
    },
  },
  video_colqwen_omni_mv_chunk_30s: {
    ...{ documents: 2, dimensions: 128, rows: 64 },
    segments: {
      0: { start: 0, end: 30, said: `${NOON} ${FERRY}` },
      // Overlaps the one before by five seconds.
      1: { start: 25, end: 40, said: `${FERRY} ${DAWN}` },
    },
  },
};

const tenant = freshTenant('three_ways');
let documents: DocumentClient;
let ingested: Record<string, Ingested>;

beforeAll(async () => {
  documents = new DocumentClient(stackSettings().vespaUrl);
  const folder = await temporaryFolder();
  const at = (name: string) => path.join(folder, name);
  // Red for 30 s, then blue for 10.
  const colours = ['red', 'red', 'red', 'blue'];
  await makeVideo(at('walls.mp4'), { colours, seconds: 40, width: 64, height: 48, fps: 5 });
  await writeFile(
    at('walls.vtt'),
    `WEBVTT\n\n00:01.000 --> 00:02.000\n${NOON}\n\n00:26.000 --> 00:27.000\n${FERRY}\n\n00:33.000 --> 00:38.000\n${DAWN}\n`,
  );
  const description = [
    { start: 0, end: 30, text: 'a red wall' },
    { start: 30, end: 40, text: 'a blue wall' },
  ];
  const unheard = 'where there are subtitles nobody reads this';
  await writeFile(at('walls.json'), JSON.stringify({ title: 'Two walls', transcript: unheard, description }));
  await cvopsJson(['tenant', 'create', tenant, '--profiles', PROFILE_NAMES.join(','), ...NO_LIMIT]);
  const runs = PROFILE_NAMES.map(
    async (profile) =>
      [profile, await cvopsJson<Ingested>(['ingest', tenant, folder, '--profile', profile])] as const,
  );
  ingested = Object.fromEntries(await Promise.all(runs));
});
afterAll(() => documents?.close());

describe.concurrent.each(PROFILE_NAMES)('a clip of 40 s with side-cars, by %s', (profile) => {
  const schema = `${profile}_${tenant}`;
  const { segments, dimensions, rows, documents: count } = EXPECTED[profile];

  test('is cut, and each document holds its times, its part of the texts and its vectors', async () => {
    expect(ingested[profile]).toMatchObject({
      videos: { stored: 1, unchanged: 0, failed: 0 },
      documents: count,
    });
    expect(await documents.count(schema, CONTENT_CLUSTER)).toBe(count);
    for (const [index, { start, end, said, shown }] of Object.entries(segments)) {
      const id = `walls_seg_${index}`;
      const fields = (await documents.get({ namespace: 'content', schema, id }))!;
      expect(fields, id).toMatchObject({
        ...{ tenant_id: tenant, video_id: 'walls', video_title: 'Two walls', source_url: 'walls.mp4' },
        ...{ segment_id: Number(index), start_time: start, end_time: end },
      });
      // Vespa gives back no empty string.
      expect(fields['audio_transcript'] ?? '', id).toBe(said);
      expect(fields['segment_description'], id).toBe(shown);

      const [float, bits] = [fields['embedding'] as Blocks, fields['embedding_binary'] as Blocks];
      expect(float.type).toBe(`tensor<bfloat16>(patch{},v[${dimensions}])`);
      expect(bits.type).toBe(`tensor<int8>(patch{},v[${dimensions / 8}])`);
      const labels = Array.from({ length: rows }, (_, row) => String(row));
      expect(Object.keys(float.blocks)).toEqual(labels);
      for (const label of labels) {
        const vector = float.blocks[label]!;
        expect(vector).toHaveLength(dimensions);
        expect(bits.blocks[label]).toEqual([...binarize(Float32Array.from(vector))]);
      }
    }
  });

  test('is found by what is said in it, and by what is seen', async () => {
    const search = (query: string, ranking: string, topK: number) =>
      cvopsJson<Found>([
        ...['search', tenant, query, '--profile', profile],
        ...['--ranking', ranking, '--top-k', String(topK)],
      ]);
    const [{ hits: heard }, { hits: seen }] = await Promise.all([
      search('marrakesh', 'bm25_only', 10),
      search('blue', 'float_float', 1),
    ]);
    const [where, { start, end }] = Object.entries(segments).find(([, { said }]) => said.includes(NOON))!;
    expect(heard).toMatchObject([
      { id: `id:content:${schema}::walls_seg_${where}`, video: 'walls', start, end },
    ]);
    expect(seen[0]!.end).toBeGreaterThan(30);
  });
});
