import { OpsError } from './errors.js';
import { quoteForMessage } from './ids.js';

const FORM = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})?)?$/;

/**
 * The one parser of times that a person gives: ISO 8601; a day alone is its beginning, and a time without a zone is UTC's,
 * whatever the machine's zone. A day that its month does not have is none.
 *
 * @throws OpsError `InvalidInput`
 */
export function parseTime(text: string): Date {
  const form = FORM.exec(text);
  const [, clock, , , zone] = form ?? [];
  const date = new Date(clock !== undefined && zone === undefined ? `${text}Z` : text);
  if (form && !Number.isNaN(date.getTime()) && isDay(text.slice(0, 10))) return date;
  throw new OpsError(
    'InvalidInput',
    `not a time: ${quoteForMessage(text)}`,
    'for example 2026-11-01 or 2026-11-01T12:00Z',
  );
}

/** `Date` makes the 2nd of March of a 30th of February. */
function isDay(day: string): boolean {
  return new Date(`${day}T00:00Z`).toISOString().startsWith(day);
}
