const CHUNK_BYTES = 128 << 10;

/** Collects an answer in chunks, of 128 KiB where nothing else is said; of one document where that is more. */
export class Output {
  private chunk = Buffer.alloc(0);
  /** Of the chunk: what is taken, and what is written. */
  private from = 0;
  private to = 0;
  private readonly full: Buffer[] = [];

  constructor(private readonly chunkBytes = CHUNK_BYTES) {}

  text(text: string): void {
    // No UTF-16 unit takes more than three bytes of UTF-8.
    this.reserve(text.length * 3);
    this.to += this.chunk.write(text, this.to);
  }

  bytes(source: Buffer, from: number, to: number): void {
    this.reserve(to - from);
    source.copy(this.chunk, this.to, from, to);
    this.to += to - from;
  }

  /** Whether there is a chunk's worth to take. */
  get isFull(): boolean {
    return this.full.length > 0 || this.to - this.from >= this.chunkBytes / 2;
  }

  /** Everything so far. */
  take(): Buffer[] {
    this.flush();
    return this.full.splice(0);
  }

  /** Makes the next bytes follow one another in one chunk. */
  reserve(bytes: number): void {
    if (this.to + bytes <= this.chunk.length) return;
    this.flush();
    this.chunk = Buffer.allocUnsafe(Math.max(this.chunkBytes, bytes));
    this.from = this.to = 0;
  }

  private flush(): void {
    if (this.to > this.from) this.full.push(this.chunk.subarray(this.from, this.to));
    this.from = this.to;
  }
}
