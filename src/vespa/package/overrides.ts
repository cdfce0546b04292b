import { OpsError } from '../../domain/errors.js';

/** Marks our own line, so that the next deploy takes out that one and nobody else's. */
const MARK = 'cogniverse-ops: this deploy only';
const OURS = new RegExp(`(?:  )?<allow [^>]*comment="${MARK}"[^>]*>schema-removal</allow>\\n?`, 'g');
const EMPTY = /^<validation-overrides>\s*<\/validation-overrides>\s*$/;

/**
 * `validation-overrides.xml` with our dated `schema-removal`, beside whatever was there. The override is package-wide:
 * while it stands, any schema missing from a deploy is dropped with its documents, so it is written for one deploy only.
 *
 * @param now the server accepts an `until` of at most 29 days ahead (UTC), through the whole day; we need minutes
 */
export function withRemovalAllowed(overrides: string | undefined, now: Date): string {
  const until = new Date(now.getTime() + 24 * 3600 * 1000).toISOString().slice(0, 10);
  const line = `  <allow until="${until}" comment="${MARK}">schema-removal</allow>\n`;
  const rest = withoutRemovalAllowed(overrides) ?? '<validation-overrides>\n</validation-overrides>\n';
  const base = rest.replace(/<validation-overrides\s*\/>/, '<validation-overrides>\n</validation-overrides>');
  const end = base.lastIndexOf('</validation-overrides>');
  if (end < 0)
    throw new OpsError('Rejected', 'validation-overrides.xml has no <validation-overrides> to add to');
  // A line of its own, so that taking it out again leaves the end tag's indentation as it was.
  const lineStart = base.lastIndexOf('\n', end - 1) + 1;
  const at = lineStart > 0 && base.slice(lineStart, end).trim() === '' ? lineStart : end;
  return base.slice(0, at) + line + base.slice(at);
}

/** The same file without our line; undefined when nothing else is in it: then the file goes. */
export function withoutRemovalAllowed(overrides: string | undefined): string | undefined {
  if (overrides === undefined) return undefined;
  const rest = overrides.replace(OURS, '');
  return rest !== overrides && EMPTY.test(rest) ? undefined : rest;
}
