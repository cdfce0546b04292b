import { quoteForMessage } from './ids.js';

const PATH = /^(\/|[A-Za-z]:[\\/])/;
const SCHEME = /^(list:)?[A-Za-z][A-Za-z0-9+.-]*:\/\//;

/**
 * Shows a person the place they named without what may be a secret in it: what stands before an `@` (a key, which may
 * itself hold `/` and `:`), and a query, which may be signed. An absolute path is shown as it is.
 */
export function quotePlace(text: string): string {
  return quoteForMessage(PATH.test(text) ? text : withoutSecrets(text));
}

function withoutSecrets(text: string): string {
  const scheme = SCHEME.exec(text)?.[0] ?? '';
  const at = text.lastIndexOf('@');
  const shown = at < 0 ? text : `${scheme}…${text.slice(at)}`;
  return shown.replace(/[?#].*$/s, '?…');
}
