import path from 'node:path';
import { parseFilePath } from '../domain/paths.js';

/** A path on this machine, made absolute: what reads it may work elsewhere. @throws OpsError `InvalidInput` */
export function localPath(text: string): string {
  return path.resolve(parseFilePath(text));
}
