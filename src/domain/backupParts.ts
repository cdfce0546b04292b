import type { PartKind } from './backups.js';
import type { BaseSchema } from './profiles.js';

/** Kinds whose parts are whole texts, as they are; the others are lines of JSON, compressed. */
export type TextPartKind = 'config' | 'schema';
export type LinePartKind = Exclude<PartKind, TextPartKind>;

/** Kinds of which each base schema has its own parts. */
export type BasePartKind = 'schema' | 'documents';

export interface PartName {
  readonly kind: PartKind;
  /** Only of `schema` and `documents`. */
  readonly base?: BaseSchema;
  /** From 0, with gaps or without; of `config`, `schema` and `videos` there is one. */
  readonly index?: number;
}

/** Most parts of one kind, and of one base schema. */
const MAX_INDEX = 9_999_999;

/** Where a part lies within the backup's folder. @throws RangeError for a name that no part has */
export function partPath({ kind, base, index }: PartName): string {
  if ((base !== undefined) !== isBaseKind(kind))
    throw new RangeError(`${kind} with base ${base ?? 'left out'}`);
  if ((index !== undefined) !== isNumbered(kind))
    throw new RangeError(`${kind} with index ${index ?? 'left out'}`);
  switch (kind) {
    case 'config':
      return 'config.json';
    case 'schema':
      return `schemas/${base}.sd`;
    case 'videos':
      return 'videos.jsonl.zst';
    case 'documents':
      return `documents/${base}/part-${number(index)}.jsonl.zst`;
    case 'spans':
      return `traces/spans-${number(index)}.jsonl.zst`;
    case 'memory':
    case 'annotations':
    case 'notes':
      return `${kind}/part-${number(index)}.jsonl.zst`;
  }
}

/** Whether this is the path of a part of that kind and base. */
export function isPartPath(path: string, kind: PartKind, base?: BaseSchema): boolean {
  if ((base !== undefined) !== isBaseKind(kind)) return false;
  const named = base === undefined ? { kind } : { kind, base };
  if (!isNumbered(kind)) return path === partPath(named);
  const digits = /-([0-9]{5,7})\.jsonl\.zst$/.exec(path)?.[1];
  return digits !== undefined && path === partPath({ ...named, index: Number(digits) });
}

export function isTextPart(kind: PartKind): kind is TextPartKind {
  return kind === 'config' || kind === 'schema';
}

function isBaseKind(kind: PartKind): kind is BasePartKind {
  return kind === 'schema' || kind === 'documents';
}

function isNumbered(kind: PartKind): boolean {
  return !isTextPart(kind) && kind !== 'videos';
}

function number(index: number | undefined): string {
  if (index === undefined || !Number.isSafeInteger(index) || index < 0 || index > MAX_INDEX)
    throw new RangeError(`part ${index ?? 'without number'}`);
  return String(index).padStart(5, '0');
}
