import type { ApiResponse } from '../api.js';
import { TENSOR_FORMATS, type TensorFormat } from '../tensors/codec.js';
import type { DiskStore } from './diskStore.js';
import { parseJson } from './losslessJson.js';
import { FieldSetError } from './fieldSet.js';

/** `maxDocumentOperationRequestSizeMib`. */
export const MAX_BODY = 100 << 20;

/** An answer that is an error; `id` is there once the document is known. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string | undefined,
    readonly id?: string,
  ) {
    super(message);
    this.text = message;
  }

  readonly text: string | undefined;
}

export function parseBody(body: Buffer): Record<string, unknown> {
  const text = body.toString('utf8');
  if (text.trim() === '') throw new Refusal(400, 'expected start of root object, got null');
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new Refusal(400, (error as Error).message);
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new Refusal(400, `expected start of root object, got ${tokenOf(value)}`);
  return value as Record<string, unknown>;
}

export function tokenOf(value: unknown): string {
  if (Array.isArray(value)) return 'START_ARRAY';
  if (value === null) return 'VALUE_NULL';
  if (typeof value === 'boolean') return value ? 'VALUE_TRUE' : 'VALUE_FALSE';
  if (typeof value === 'string') return 'VALUE_STRING';
  return Number.isInteger(value) ? 'VALUE_NUMBER_INT' : 'VALUE_NUMBER_FLOAT';
}

export function fieldSetOf(store: DiskStore, query: URLSearchParams): string | undefined {
  const fieldSet = query.get('fieldSet') ?? undefined;
  const type = fieldSet?.includes(':') ? fieldSet.slice(0, fieldSet.indexOf(':')) : undefined;
  if (type !== undefined && !store.model.schemas.has(type))
    throw new FieldSetError(`Unknown document type ${type}`);
  return fieldSet;
}

export function checkCluster(store: DiskStore, query: URLSearchParams): void {
  const cluster = query.get('cluster');
  const known = store.model.contentCluster;
  if (cluster === null || cluster === known) return;
  throw new Refusal(400, `Your Vespa deployment has no content cluster '${cluster}', only '${known}'`);
}

/** What is no format, or two of them, is as if nothing were said. */
export function tensorFormat(query: URLSearchParams): TensorFormat {
  const all = query.getAll('format.tensors');
  const given = all.length === 1 ? all[0] : undefined;
  return TENSOR_FORMATS.find((format) => format === given) ?? 'short';
}

export function flag(query: URLSearchParams, name: string): boolean | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (text === 'true' || text === 'false') return text === 'true';
  throw new Refusal(400, `Failed parsing '${text}': Invalid boolean value '${text}'`);
}

export function number(query: URLSearchParams, name: string, fallback: number, least: number): number {
  const text = query.get(name);
  if (text === null) return fallback;
  if (!/^-?\d+$/.test(text)) throw new Refusal(400, `Failed parsing '${text}': For input string: "${text}"`);
  if (Number(text) < least)
    throw new Refusal(400, `${name} must be ${least === 0 ? 'non-negative' : 'positive'}`);
  return Number(text);
}

export function seconds(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|ks|s|m|h)?$/.exec(text);
  if (match === null)
    throw new Refusal(400, `Failed parsing '${text}': Error parsing '${text}': Invalid number '${text}'`);
  return Number(match[1]) * { ms: 0.001, s: 1, ks: 1000, m: 60, h: 3600 }[match[2] ?? 's']!;
}

export function json(status: number, body: unknown): ApiResponse {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=UTF-8' },
    body: JSON.stringify(body),
  };
}
