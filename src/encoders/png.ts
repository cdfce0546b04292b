import { promisify } from 'node:util';
import { crc32, deflate } from 'node:zlib';
import type { RgbFrame } from '../video/segment.js';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Each byte as its difference from the one above: good for film, and cheap. */
const FILTER_UP = 2;

/** A picture as a PNG file (8 bits, RGB), without loss. Compression runs in Node's thread pool. */
export async function encodePng({ width, height, data }: RgbFrame): Promise<Buffer> {
  const row = width * 3;
  if (data.length !== row * height) throw new RangeError('a picture has three bytes a pixel');
  const lines = Buffer.alloc((row + 1) * height);
  for (let y = 0; y < height; y++) {
    const at = y * (row + 1);
    lines[at] = FILTER_UP;
    for (let x = 0; x < row; x++) {
      const above = y > 0 ? data[(y - 1) * row + x]! : 0;
      lines[at + 1 + x] = data[y * row + x]! - above;
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // 8 bits a channel, colour type RGB, the only compression, filter and no interlacing.
  header.set([8, 2, 0, 0, 0], 8);
  const pixels = await promisify(deflate)(lines);
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, content: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content]);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}
