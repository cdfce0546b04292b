import type { ClonePlan } from '../../domain/clone.js';
import type { PhoenixClient } from '../../phoenix/client.js';
import { ensureProject } from '../../phoenix/projects.js';
import type { CountedDigest } from '../../domain/lineDigests.js';
import { LineDigest } from '../digest.js';
import type { Sized } from './batches.js';
import { identified, importAnnotations, importNotes } from './importAnnotations.js';
import { importSpans } from './importSpans.js';
import { TRACE_KINDS, type TraceKind, type TraceLines, parseTraceLine, restorableLine } from './lines.js';
import { renameLine } from './rename.js';
import { type TracesCall, retrying } from './retrying.js';

/** Of each kind, what a project holds or should hold: of its restorable lines. */
export type TraceDigests = Readonly<Record<TraceKind, CountedDigest>>;

export interface ImportOptions extends TracesCall {
  /** Of the project, when it is made. */
  readonly description: string;
  /** Makes another tenant's traces of them, or another life's. */
  readonly rename?: ClonePlan | undefined;
}

/**
 * Puts the lines of an export into a project, which is made when missing: spans, then annotations, then notes. Killed at
 * any line and done again from the start it ends the same, with nothing twice; what is there already is not sent again.
 *
 * @param lines of each kind, as {@link TracesExport.lines} gave them, in any order
 * @returns what was given, renamed: the same as {@link digestTraces} of the project, if it held nothing else
 * @throws OpsError `VerificationFailed` for a damaged line, `Conflict`, `Rejected`, `Unavailable`; what was stored stays
 */
export async function importTraces(
  phoenix: PhoenixClient,
  project: string,
  lines: Readonly<Record<TraceKind, AsyncIterable<Uint8Array>>>,
  options: ImportOptions,
): Promise<TraceDigests> {
  await retrying(options, () => ensureProject(phoenix, project, options.description));
  const digesters = newDigesters();
  await importSpans(phoenix, project, contents('spans'), options);
  await importAnnotations(phoenix, project, contents('annotations'), options);
  await importNotes(phoenix, project, contents('notes', identified), options);
  return counted(digesters);

  async function* contents<K extends TraceKind>(
    kind: K,
    asStored: (content: TraceLines[K]) => TraceLines[K] = (content) => content,
  ): AsyncGenerator<Sized<TraceLines[K]>> {
    for await (const line of lines[kind]) {
      const given = parseTraceLine(kind, line);
      const content = asStored(options.rename ? renameLine(kind, given, options.rename) : given);
      const restored = restorableLine(content);
      digesters[kind].add(restored);
      yield { content, bytes: restored.length };
    }
  }
}

/**
 * What the lines of an export or of a backup amount to, without the times and sources that Phoenix gives anew: equal for
 * two projects that a user could not tell apart.
 */
export async function digestTraces(
  lines: (kind: TraceKind) => AsyncIterable<Uint8Array>,
): Promise<TraceDigests> {
  const digesters = newDigesters();
  for (const kind of TRACE_KINDS)
    for await (const line of lines(kind)) digesters[kind].add(restorableLine(parseTraceLine(kind, line)));
  return counted(digesters);
}

function newDigesters() {
  return { spans: new LineDigest(), annotations: new LineDigest(), notes: new LineDigest() };
}

function counted(digesters: Readonly<Record<TraceKind, LineDigest>>): TraceDigests {
  const of = ({ count, digest }: LineDigest) => ({ count, digest });
  return { spans: of(digesters.spans), annotations: of(digesters.annotations), notes: of(digesters.notes) };
}
