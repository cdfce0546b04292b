import { OpsError } from './errors.js';
import { quotePlace } from './places.js';

const LONGEST = 4096;

/**
 * The one parser of paths of files and folders on a machine that a person gives. A URL is none: taken for a path, what
 * stands in it as user and password would be written down as the name of a file.
 *
 * @throws OpsError `InvalidInput`
 */
export function parseFilePath(text: string): string {
  const refuse = (why: string) =>
    new OpsError('InvalidInput', `${why}: ${quotePlace(text)}`, 'give the path of a file or folder');
  if (text.length === 0 || text.length > LONGEST) throw refuse(`not 1 to ${LONGEST} characters long`);
  if (text.includes('\0')) throw refuse('a path holds no zero byte');
  if (!text.isWellFormed()) throw refuse('a path is whole Unicode text');
  if (/^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(text)) throw refuse('not a path of this machine');
  return text;
}
