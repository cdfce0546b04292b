import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEncoder } from '../../src/encoders/port.js';
import { PROFILES } from '../../src/domain/profiles.js';
import { probeVideo } from '../../src/video/probe.js';
import { segmentVideo } from '../../src/video/segment.js';
import { SCORES, ranked } from '../support/maxsim.js';
import { sampleVideos } from '../support/videos.js';

const encoder = createEncoder({ url: '', model: '', tokenRef: '' });
afterAll(() => encoder.close());

describe.each(Object.values(PROFILES))('the embedded encoder by $name finds', (profile) => {
  const documents: Record<string, Float32Array[][]> = {};
  beforeAll(async () => {
    const clips = await sampleVideos();
    for (const name of ['bikes', 'bigbuckbunny', 'carphone']) {
      const file = path.join(clips, `${name}.mp4`);
      documents[name] = [];
      for await (const segment of segmentVideo(file, await probeVideo(file), profile.segmentation))
        documents[name].push(await encoder.encodeFrames(segment, profile));
    }
  });

  // What is seen: a cartoon rabbit in green grass under a blue sky; a man's face in a car; a street with cars and cyclists,
  // in several shots, which a chunk blends into one (docs/encoders.md), so that only single frames show it.
  it.each([
    ['green grass', 'bigbuckbunny'],
    ['blue sky', 'bigbuckbunny'],
    ['trees', 'bigbuckbunny'],
    ['a face', 'carphone'],
    ...(profile.segmentation.kind === 'frames' ? [['street', 'bikes']] : []),
  ])('%s in %s, by floats, bits and both', async (text, video) => {
    for (const [form, score] of Object.entries(SCORES))
      expect((await ranked(encoder, text, documents, score, profile.dimensions))[0], form).toBe(video);
  });
});
