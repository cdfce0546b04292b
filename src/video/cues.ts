/** A piece of a transcript with its time, in seconds. */
export interface Cue {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const TIME = String.raw`(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})`;
const TIMING = new RegExp(String.raw`^\s*${TIME}\s+-->\s+${TIME}(?:\s.*)?$`);
/** A day of speech in ten-second cues is 8,640. */
const MAX_CUES = 100_000;

/**
 * Reads WebVTT and SubRip alike, forgivingly as players do: blocks divided by blank lines, each with a timing line and
 * the text below it. Everything else (header, notes, styles, numbers) has no timing line and is passed over. Markup such
 * as `<i>`, `<v Ann>` and `{\an8}` is taken off.
 */
export function parseCues(text: string): Cue[] {
  const cues: Cue[] = [];
  for (const block of text.replace(/\r\n?/g, '\n').split(/\n[ \t]*\n/)) {
    const lines = block.split('\n');
    const at = lines.findIndex((line) => line.includes('-->'));
    const timing = at < 0 ? null : TIMING.exec(lines[at]!);
    if (!timing || cues.length >= MAX_CUES) continue;
    const [start, end] = [time(timing.slice(1, 5)), time(timing.slice(5, 9))];
    const said = plain(lines.slice(at + 1).join(' '));
    if (said !== '' && end > start) cues.push({ start, end, text: said });
  }
  return cues;
}

function time([hours, minutes, seconds, fraction]: (string | undefined)[]): number {
  const whole = Number(hours ?? 0) * 3600 + Number(minutes) * 60 + Number(seconds);
  return whole + Number((fraction ?? '0').padEnd(3, '0')) / 1000;
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  nbsp: ' ',
  quot: '"',
  lrm: '',
  rlm: '',
};

function plain(text: string): string {
  return text
    .replace(/<[^<>]{0,200}>|\{\\[^{}]{0,100}\}/g, '')
    .replace(/&([a-z]{2,5});/g, (entity, name: string) => ENTITIES[name] ?? entity)
    .replace(/\s+/g, ' ')
    .trim();
}

/**
 * What is said from `start` to `end`: the cues that overlap it by time, in order, a line repeated by rolling captions
 * once.
 */
export function textBetween(cues: readonly Cue[], start: number, end: number): string {
  const said: string[] = [];
  for (const cue of cues) {
    if (cue.start < end && cue.end > start && said.at(-1) !== cue.text) said.push(cue.text);
  }
  return said.join(' ');
}
