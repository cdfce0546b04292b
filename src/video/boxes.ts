import type { FileHandle } from 'node:fs/promises';

/** A fragmented file has two boxes per fragment; more than this is no video anybody made. */
const MAX_BOXES = 200_000;

/** The boxes that stand at the top; anything else after a whole box is something appended, or no MP4 at all. */
const TOP_LEVEL = new Set(
  'ftyp moov mdat free skip wide uuid moof mfra sidx ssix styp meta udta pdin prft emsg'.split(' '),
);

export interface BoxWalk {
  /** The first box is one that MP4 files begin with. */
  readonly isMp4: boolean;
  /** Bytes the file lacks at its end; 0 for a whole file and for one whose boxes cannot be followed. */
  readonly missing: number;
}

/**
 * Follows a file's top-level MP4 boxes (ISO/IEC 14496-12, 4.2): each names its length, so a copy that was cut short
 * shows itself without being decoded. ffprobe does not notice when the index comes first, and takes any file named
 * `.mp4` for a damaged one.
 */
export async function walkBoxes(file: FileHandle, size: number): Promise<BoxWalk> {
  const header = Buffer.alloc(16);
  let position = 0;
  for (let boxes = 0; boxes < MAX_BOXES && position + 8 <= size; boxes++) {
    const { bytesRead } = await file.read(header, 0, 16, position);
    const length = boxLength(header.subarray(0, bytesRead));
    if (length === undefined) return { isMp4: boxes > 0, missing: 0 };
    if (length === 'to the end') return { isMp4: true, missing: 0 };
    position += length;
  }
  return { isMp4: position > 0, missing: Math.max(0, position - size) };
}

/** @returns undefined for what is no known box */
function boxLength(header: Buffer): number | 'to the end' | undefined {
  if (header.length < 8 || !TOP_LEVEL.has(header.toString('latin1', 4, 8))) return undefined;
  const short = header.readUInt32BE(0);
  if (short === 0) return 'to the end';
  if (short !== 1) return short < 8 ? undefined : short;
  if (header.length < 16) return undefined;
  const long = header.readBigUInt64BE(8);
  return long < 16n || long > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(long);
}
