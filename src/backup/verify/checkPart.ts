import { isUtf8 } from 'node:buffer';
import type { z } from 'zod';
import { problemsOf } from '../../certificates/signedFile.js';
import { type BackupManifest, type ManifestPart, backupConfig, backupVideo } from '../../contracts/backup.js';
import { isTextPart } from '../../domain/backupParts.js';
import { OpsError } from '../../domain/errors.js';
import { MEMORY_SCHEMA } from '../../domain/profiles.js';
import { LineDigest } from '../digest.js';
import { type DocumentLine, type DocumentsOf, documentLine } from '../format/documentLine.js';
import { isJsonObject } from '../format/jsonBytes.js';
import type { BackupPlace } from '../format/place.js';
import { type ReadOptions, readPart, readTextPart, refused } from '../format/readPart.js';

/** Whether the part is of documents: of a profile's schema, or of memory. */
export function holdsDocuments({ kind }: ManifestPart): boolean {
  return kind === 'documents' || kind === 'memory';
}

/**
 * Reads a part to its end: its bytes, their form, and each line's.
 *
 * @param onId of each document
 * @throws OpsError `VerificationFailed` naming the part and the first thing found; what the store throws
 */
export async function checkPart(
  place: BackupPlace,
  manifest: BackupManifest,
  part: ManifestPart,
  options: ReadOptions & { readonly onId: (id: string) => void },
): Promise<void> {
  if (isTextPart(part.kind)) {
    checkText(part, await readTextPart(place, part, options));
    return;
  }
  const check = lineCheck(manifest, part, options.onId);
  const digest = new LineDigest();
  for await (const line of readPart(place, part, options)) {
    check(line);
    digest.add(line);
  }
  if (digest.digest !== part.digest) throw refused(part, 'its lines are not those of the manifest');
}

/** The ids of a part's documents, which {@link checkPart} found good. */
export async function* documentIds(
  place: BackupPlace,
  manifest: BackupManifest,
  part: ManifestPart,
  options: ReadOptions,
): AsyncGenerator<string> {
  const of = documentsOf(manifest, part);
  for await (const line of readPart(place, part, options)) yield documentLine(line, of).id;
}

function checkText(part: ManifestPart, text: Buffer): void {
  if (!isUtf8(text)) throw refused(part, 'it is not UTF-8');
  if (part.kind !== 'config') return;
  const { versions } = parsed(part, text, backupConfig);
  if (versions.length !== part.count) throw refused(part, 'it has other versions than the manifest says');
}

function lineCheck(
  manifest: BackupManifest,
  part: ManifestPart,
  onId: (id: string) => void,
): (line: Buffer) => void {
  if (holdsDocuments(part)) {
    const of = documentsOf(manifest, part);
    return (line) => {
      const { id, fields } = documentIn(part, line, of);
      if (!isJsonObject(fields))
        throw refused(part, `the fields of ${JSON.stringify(id)} are no JSON object`);
      onId(id);
    };
  }
  if (part.kind === 'videos') return (line) => void parsed(part, line, backupVideo);
  return (line) => {
    if (!isJsonObject(line)) throw refused(part, 'a line is no JSON object');
  };
}

function documentIn(part: ManifestPart, line: Buffer, of: DocumentsOf): DocumentLine {
  try {
    return documentLine(line, of);
  } catch (error) {
    throw error instanceof OpsError ? refused(part, error.message) : error;
  }
}

function documentsOf({ schemas }: BackupManifest, { kind, base }: ManifestPart): DocumentsOf {
  // A manifest without it is refused.
  return schemas.find((schema) => schema.base === (kind === 'memory' ? MEMORY_SCHEMA : base))!;
}

function parsed<S extends z.ZodType>(part: ManifestPart, json: Buffer, contract: S): z.output<S> {
  if (!isJsonObject(json)) throw refused(part, 'it is no JSON object');
  const result = contract.safeParse(JSON.parse(json.toString()));
  if (!result.success) throw refused(part, problemsOf(result.error.issues).slice(0, 3).join('; '));
  return result.data;
}
