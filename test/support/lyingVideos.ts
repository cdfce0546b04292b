import { truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Headers of an MP4 with one video stream rewritten in place (ISO/IEC 14496-12, version 0 boxes, as ffmpeg writes them):
 * what an honest muxer would never write.
 */
function edited(mp4: Buffer, edit: (at: (box: string) => number, copy: Buffer) => void): Buffer {
  const copy = Buffer.from(mp4);
  const at = (box: string) => {
    const found = copy.indexOf(box, copy.indexOf('moov'), 'latin1');
    if (found < 0) throw new Error(`no box ${box}`);
    return found;
  };
  edit(at, copy);
  return copy;
}

/** Every picture lasts so long; edit lists, which would cut it again, are made free space. */
export function withSecondsPerFrame(mp4: Buffer, seconds: number): Buffer {
  return edited(mp4, (at, copy) => {
    copy.writeUInt32BE(1, at('mdhd') + 16);
    for (const [box, offset] of [
      ['mdhd', 20],
      ['mvhd', 20],
      ['tkhd', 24],
    ] as const)
      copy.writeUInt32BE(seconds === 0 ? 0 : 0xffff_fff0, at(box) + offset);
    copy.writeUInt32BE(seconds, at('stts') + 16);
    copy.write('free', at('edts'), 'latin1');
  });
}

export function withSize(mp4: Buffer, width: number, height: number): Buffer {
  return edited(mp4, (at, copy) => {
    copy.writeUInt16BE(width, at('tkhd') + 80);
    copy.writeUInt16BE(height, at('tkhd') + 84);
    copy.writeUInt16BE(width, at('avc1') + 28);
    copy.writeUInt16BE(height, at('avc1') + 30);
  });
}

export function withFrames(mp4: Buffer, frames: number): Buffer {
  return edited(mp4, (at, copy) => {
    copy.writeUInt32BE(100, at('stsz') + 8);
    copy.writeUInt32BE(frames, at('stsz') + 12);
    copy.writeUInt32BE(frames, at('stts') + 12);
  });
}

/** Writes the display matrix of a camera that was held so. */
export function turned(mp4: Buffer, degrees: number): Buffer {
  return edited(mp4, (at, copy) => {
    const [cos, sin] = [Math.cos, Math.sin].map((f) => Math.round(f((degrees * Math.PI) / 180) * 65_536));
    const matrix = at('tkhd') + 44;
    for (const [place, value] of [
      [0, cos!],
      [4, sin!],
      [12, -sin!],
      [16, cos!],
    ] as const)
      copy.writeInt32BE(value, matrix + place);
  });
}

/** A file of so many bytes that takes none. */
export async function makeSparse(file: string, bytes: number): Promise<void> {
  await writeFile(file, '');
  await truncate(file, bytes);
}

/** An address that playlists may name, and how often it was asked. */
export async function startListener(): Promise<{
  readonly url: string;
  readonly requests: () => number;
  readonly close: () => void;
}> {
  let requests = 0;
  const server = createServer((_, response) => {
    requests++;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, requests: () => requests, close: () => server.close() };
}
