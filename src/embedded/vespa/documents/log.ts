import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { crc32 } from 'node:zlib';

/** Where a record's body lies in the log. */
export interface Position {
  readonly offset: number;
  readonly length: number;
  /** Microseconds since the epoch. */
  readonly timestamp: number;
}

/** crc (4), body length (4), id length (2), operation (1), timestamp (8). */
const HEADER = 19;
export const PUT = 1;
export const REMOVE = 2;

/**
 * An append-only file of puts and removes. Each write is handed to the operating system before it is acknowledged, so
 * that a killed process loses nothing; a torn record at the end, from a machine that stopped, is cut off at the next open.
 */
export class DocumentLog {
  private fd: number;
  private end: number;

  constructor(
    private readonly file: string,
    private readonly fsync: boolean,
    onRecord: (operation: number, id: string, at: Position) => void,
  ) {
    rmSync(`${file}.compact`, { force: true });
    this.fd = openSync(file, existsSync(file) ? 'r+' : 'w+');
    this.end = this.replay(onRecord);
  }

  get size(): number {
    return this.end;
  }

  append(operation: number, id: string, body: string, timestamp: number): Position {
    const idBytes = Buffer.from(id);
    const bodyBytes = Buffer.from(body);
    const record = Buffer.allocUnsafe(HEADER + idBytes.length + bodyBytes.length);
    record.writeUInt32BE(bodyBytes.length, 4);
    record.writeUInt16BE(idBytes.length, 8);
    record.writeUInt8(operation, 10);
    record.writeBigUInt64BE(BigInt(timestamp), 11);
    idBytes.copy(record, HEADER);
    bodyBytes.copy(record, HEADER + idBytes.length);
    record.writeUInt32BE(crc32(record.subarray(4)), 0);
    // A nearly full disk takes a part and says so only by the count.
    for (let at = 0; at < record.length;)
      at += writeSync(this.fd, record, at, record.length - at, this.end + at);
    if (this.fsync) fsyncSync(this.fd);
    const offset = this.end + HEADER + idBytes.length;
    this.end += record.length;
    return { offset, length: bodyBytes.length, timestamp };
  }

  read(at: Position): string {
    const body = Buffer.allocUnsafe(at.length);
    this.readInto(body, at);
    return body.toString('utf8');
  }

  /** Reads a body into the first bytes of a buffer that is long enough. */
  readInto(body: Buffer, { offset, length }: Position): void {
    const read = readSync(this.fd, body, 0, length, offset);
    if (read !== length) throw new Error(`${this.file} ends within a document at byte ${offset}`);
  }

  /** Writes the given records to a new file and puts it in this one's place. */
  compact(
    records: Iterable<{ readonly operation: number; readonly id: string; readonly at: Position }>,
    moved: (id: string, at: Position) => void,
  ): void {
    const partial = `${this.file}.compact`;
    rmSync(partial, { force: true });
    const fresh = new DocumentLog(partial, false, () => undefined);
    for (const { operation, id, at } of records) {
      moved(id, fresh.append(operation, id, operation === PUT ? this.read(at) : '', at.timestamp));
    }
    fsyncSync(fresh.fd);
    renameSync(partial, this.file);
    closeSync(this.fd);
    this.fd = fresh.fd;
    this.end = fresh.end;
  }

  close(): void {
    closeSync(this.fd);
  }

  remove(): void {
    this.close();
    rmSync(this.file, { force: true });
  }

  private replay(onRecord: (operation: number, id: string, at: Position) => void): number {
    const size = fstatSync(this.fd).size;
    const header = Buffer.alloc(HEADER);
    let at = 0;
    while (at + HEADER <= size) {
      readSync(this.fd, header, 0, HEADER, at);
      const [bodyLength, idLength] = [header.readUInt32BE(4), header.readUInt16BE(8)];
      const total = HEADER + idLength + bodyLength;
      if (at + total > size) break;
      const rest = Buffer.allocUnsafe(idLength + bodyLength);
      readSync(this.fd, rest, 0, rest.length, at + HEADER);
      if (crc32(rest, crc32(header.subarray(4))) !== header.readUInt32BE(0)) {
        if (at + total === size) break;
        // Records follow: cutting here would throw them away.
        throw new Error(
          `${this.file} is damaged at byte ${at}; restore it, or remove it to begin without its documents`,
        );
      }
      onRecord(header.readUInt8(10), rest.toString('utf8', 0, idLength), {
        offset: at + HEADER + idLength,
        length: bodyLength,
        timestamp: Number(header.readBigUInt64BE(11)),
      });
      at += total;
    }
    if (at < size) truncateSync(this.file, at);
    return at;
  }
}
