import { describe, expect, test, vi } from 'vitest';
import { OpsError } from '../../src/domain/errors.js';
import { NoRoom } from '../../src/sources/noRoom.js';
import { Ahead, type PreparedVideo, prepareVideo } from '../../src/ingest/prepare.js';

const never = new AbortController().signal;
const prepared = () => {
  const disposed = vi.fn(async () => undefined);
  const video = {
    file: '/v.mp4',
    fingerprint: '1',
    [Symbol.asyncDispose]: disposed,
  } as unknown as PreparedVideo;
  return { video, disposed };
};

describe('a video that is prepared ahead', () => {
  test('is whose takes it', async () => {
    const { video, disposed } = prepared();
    const ahead = new Ahead(async () => video, never);
    expect(await ahead.take()).toBe(video);
    await ahead[Symbol.asyncDispose]();
    expect(disposed).not.toHaveBeenCalled();
  });

  test('is stopped and put away when nobody takes it', async () => {
    const { video, disposed } = prepared();
    const stopped: AbortSignal[] = [];
    const ahead = new Ahead(async (signal) => {
      stopped.push(signal);
      return video;
    }, never);
    await ahead[Symbol.asyncDispose]();
    expect(stopped.map(({ aborted }) => aborted)).toEqual([true]);
    expect(disposed).toHaveBeenCalledOnce();
  });

  test('fails to whoever takes it, and to nobody else', async () => {
    const failing = () => Promise.reject(new OpsError('Rejected', 'no video'));
    await expect(new Ahead(failing, never).take()).rejects.toThrow('no video');
    // An unhandled rejection would fail the run.
    await new Ahead(failing, never)[Symbol.asyncDispose]();
  });

  test('is prepared once more when the disk had no room for two', async () => {
    const { video } = prepared();
    const tries = [Promise.reject(new NoRoom('full')), Promise.resolve(video)];
    const ahead = new Ahead(() => tries.shift()!, never);
    expect(await ahead.take()).toBe(video);
    expect(tries).toEqual([]);
  });

  test('ends with the turn', async () => {
    const turn = new AbortController();
    const ahead = new Ahead(
      (signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('over')))),
      turn.signal,
    );
    turn.abort();
    await expect(ahead.take()).rejects.toThrow('over');
  });
});

test('a file that is no video is put away at once', async () => {
  const disposed = vi.fn(async () => undefined);
  const opened = { file: '/v.mp4', fingerprint: undefined, [Symbol.asyncDispose]: disposed };
  const tools = { probe: () => Promise.reject(new OpsError('Rejected', 'no video')) };
  const source = { open: async () => opened };
  await expect(prepareVideo(tools, { source, path: 'v.mp4' })).rejects.toThrow('no video');
  expect(disposed).toHaveBeenCalledOnce();
});
