import type { FileHandle } from 'node:fs/promises';

/** A fragmented file has two boxes per fragment; more than this is no video anybody made. */
const MAX_BOXES = 200_000;

/** The boxes that stand at the top; anything else after a whole box is something appended, or no MP4 at all. */
const TOP_LEVEL = new Set(
  'ftyp moov mdat free skip wide uuid moof mfra sidx ssix styp meta udta pdin prft emsg'.split(' '),
);

/**
 * How many bytes an MP4 file lacks at its end, by its top-level boxes (ISO/IEC 14496-12, 4.2): each names its length, so
 * a copy that was cut short shows itself without being decoded. ffprobe does not notice when the index comes first.
 *
 * @returns 0 for a whole file, and for one whose boxes cannot be followed (which ffprobe judges)
 */
export async function missingBytes(file: FileHandle, size: number): Promise<number> {
  const header = Buffer.alloc(16);
  let position = 0;
  for (let boxes = 0; boxes < MAX_BOXES && position + 8 <= size; boxes++) {
    const { bytesRead } = await file.read(header, 0, 16, position);
    if (bytesRead < 8 || !TOP_LEVEL.has(header.toString('latin1', 4, 8))) return 0;
    let length = header.readUInt32BE(0);
    if (length === 0) return 0;
    if (length === 1) {
      if (bytesRead < 16) return 0;
      const long = header.readBigUInt64BE(8);
      if (long > BigInt(Number.MAX_SAFE_INTEGER)) return 0;
      length = Number(long);
    }
    if (length < 8) return 0;
    position += length;
  }
  return Math.max(0, position - size);
}
