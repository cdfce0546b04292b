import { sourceText } from '../domain/sources.js';
import { localPath } from './localPath.js';

/** A source as it was typed: a path is meant from here, anything with a scheme is the parser's to judge. */
export function typedSource(text: string, list: boolean): string {
  if (list) return sourceText({ kind: 'list', path: localPath(text) });
  return /^[A-Za-z0-9+.-]+:\/\//.test(text) ? text : localPath(text);
}
