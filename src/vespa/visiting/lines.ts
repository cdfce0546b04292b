const NEWLINE = 10;

/** Cuts a stream of chunks into lines, without their newlines. A line within one chunk shares its memory. */
export class LineSplitter {
  private begun: Buffer[] = [];

  /** Whether the last line has no newline yet. */
  get unfinished(): boolean {
    return this.begun.length > 0;
  }

  push(chunk: Buffer, onLine: (line: Buffer) => void): void {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      const rest = chunk.subarray(from, end);
      from = end + 1;
      if (this.begun.length === 0) onLine(rest);
      else {
        this.begun.push(rest);
        const line = Buffer.concat(this.begun);
        this.begun = [];
        onLine(line);
      }
    }
    if (from < chunk.length) this.begun.push(chunk.subarray(from));
  }
}
