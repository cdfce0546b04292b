import path from 'node:path';
import { sourceText } from '../domain/sources.js';

/** A source as it was typed: a path is meant from here, anything with a scheme is the parser's to judge. */
export function typedSource(text: string, list: boolean): string {
  if (list) return sourceText({ kind: 'list', path: path.resolve(text) });
  return /^[A-Za-z0-9+.-]+:\/\//.test(text) ? text : path.resolve(text);
}
