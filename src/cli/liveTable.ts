import { stripVTControlCharacters } from 'node:util';

/** A block of text at the foot of a terminal that is drawn again in place; lines can be said above it. */
export class LiveTable {
  private shown = '';

  constructor(private readonly terminal: NodeJS.WriteStream) {}

  show(text: string): void {
    if (text === this.shown) return;
    this.erase();
    this.terminal.write(`${text}\n`);
    this.shown = text;
  }

  say(line: string): void {
    const below = this.shown;
    this.erase();
    this.terminal.write(`${line}\n`);
    if (below) this.show(below);
  }

  /** Takes the block away; what is said from now on just follows. */
  clear(): void {
    this.erase();
  }

  private erase(): void {
    if (!this.shown) return;
    const width = this.terminal.columns || 80;
    const lines = stripVTControlCharacters(this.shown).split('\n');
    // A line longer than the terminal takes several rows of it.
    const rows = lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / width)), 0);
    this.terminal.write(`\x1b[${rows}A\x1b[0J`);
    this.shown = '';
  }
}
