import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';
import { type Cue, parseCues, textBetween } from './cues.js';

/** What stands beside a video about it. */
export interface Sidecar {
  readonly title: string | undefined;
  /** What is said from `start` to `end` seconds; the whole text when it has no times, empty when there is none. */
  transcriptAt(start: number, end: number): string;
  /** What is shown from `start` to `end` seconds; the whole text when it has no times, empty when there is none. */
  descriptionAt(start: number, end: number): string;
  /** SHA-256 of what was read, empty when nothing was; a changed text makes an unchanged video a changed one. */
  readonly fingerprint: string;
}

/** Text with times, or one text for all. */
type Track = { readonly cues: readonly Cue[] } | { readonly whole: string };

/** What a side-car's name has in place of the video's suffix. */
export const SIDECAR_SUFFIXES = ['.vtt', '.srt', '.json'] as const;
/** Bytes of a side-car at most. */
export const MAX_SIDECAR_BYTES = 8 << 20;

const NOTHING: Track = { whole: '' };
/** A text without times is stored with every segment. */
const MAX_WHOLE = 20_000;

/**
 * Reads the texts beside a video `clip.mp4`: `clip.vtt`, else `clip.srt`, as the transcript; and `clip.json`:
 *
 * ```json
 * { "title": "…", "transcript": "…" | [{ "start": 0, "end": 2.5, "text": "…" }], "description": "…" | [ … ] }
 * ```
 *
 * whose transcript is used when there is no subtitle file. Cues go by time into the segments they overlap; a text
 * without times goes into all of them. Absent files are fine.
 *
 * @throws OpsError `Rejected` with a plain reason for a file that is there and cannot be used
 */
export async function readSidecar(videoFile: string): Promise<Sidecar> {
  const stem = videoStem(videoFile);
  const subtitles = (await readText(`${stem}.vtt`)) ?? (await readText(`${stem}.srt`));
  const json = await readText(`${stem}.json`);
  const data = json === undefined ? {} : parseJson(json);
  const transcript = subtitles === undefined ? data.transcript : { cues: parseCues(subtitles) };
  return {
    title: data.title,
    transcriptAt: (start, end) => textOf(transcript ?? NOTHING, start, end),
    descriptionAt: (start, end) => textOf(data.description ?? NOTHING, start, end),
    fingerprint: fingerprint([subtitles, json]),
  };
}

/** A path without its suffix: what the names of its side-cars begin with. */
export function videoStem(videoPath: string): string {
  return videoPath.replace(/\.[^./\\]*$/, '');
}

function textOf(track: Track, start: number, end: number): string {
  return 'whole' in track ? track.whole : textBetween(track.cues, start, end);
}

function fingerprint(texts: readonly (string | undefined)[]): string {
  if (texts.every((text) => text === undefined)) return '';
  return createHash('sha256').update(JSON.stringify(texts)).digest('hex');
}

/** @returns undefined when there is no such file */
async function readText(file: string): Promise<string | undefined> {
  const refuse = (why: string) => new OpsError('Rejected', `${path.extname(file)} beside it: ${why}`);
  let handle: FileHandle;
  try {
    // A link could lead anywhere, and a pipe would wait for its writer.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
      case 'ENAMETOOLONG':
        return undefined;
      case 'EACCES':
        throw refuse('permission denied');
      case 'ELOOP':
        throw refuse('a link, not a file');
      default:
        throw error;
    }
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw refuse('not a file');
    if (stat.size > MAX_SIDECAR_BYTES) throw refuse(`larger than ${MAX_SIDECAR_BYTES} bytes`);
    return new TextDecoder('utf-8', { fatal: true }).decode(await handle.readFile());
  } catch (error) {
    throw error instanceof TypeError ? refuse('not UTF-8 text') : error;
  } finally {
    await handle.close();
  }
}

interface SidecarData {
  title?: string | undefined;
  transcript?: Track | undefined;
  description?: Track | undefined;
}

function parseJson(text: string): SidecarData {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    throw bad('not JSON');
  }
  if (typeof data !== 'object' || data === null || Array.isArray(data)) throw bad('not a JSON object');
  const { title, transcript, description } = data as Record<string, unknown>;
  if (title !== undefined && typeof title !== 'string') throw bad('title is no text');
  return {
    title: title?.trim().slice(0, 500) || undefined,
    transcript: track('transcript', transcript),
    description: track('description', description),
  };
}

function track(name: string, value: unknown): Track | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return { whole: value.replace(/\s+/g, ' ').trim().slice(0, MAX_WHOLE) };
  if (!Array.isArray(value)) throw bad(`${name} is neither text nor a list`);
  const cues = value.map((item: unknown, at): Cue => {
    const { start, end, text } = (item ?? {}) as Record<string, unknown>;
    if (typeof text !== 'string' || !isTime(start) || !isTime(end) || end <= start) {
      throw bad(`${name}[${at}] is not { start, end, text } with start before end, in seconds`);
    }
    return { start, end, text: text.replace(/\s+/g, ' ').trim() };
  });
  return { cues: cues.filter((cue) => cue.text !== '') };
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function bad(why: string): OpsError {
  return new OpsError('Rejected', `.json beside it: ${why}`);
}
