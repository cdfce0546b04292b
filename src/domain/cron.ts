/** Minute, hour, day of the month, month, day of the week: lowest, highest, and names counted from the lowest. */
const FIELDS: readonly { readonly from: number; readonly to: number; readonly names?: readonly string[] }[] =
  [
    { from: 0, to: 59 },
    { from: 0, to: 23 },
    { from: 1, to: 31 },
    {
      from: 1,
      to: 12,
      names: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
    },
    { from: 0, to: 7, names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] },
  ];

export const CRON_RULE =
  'five fields, in UTC: minute, hour, day of the month, month, day of the week, such as "0 3 * * 1-5"';

/**
 * Whether a server would take the expression: judged before a registry row is written for it. Only the five classic
 * fields, each a list of `*`, values and ranges with an optional `/step`; Temporal's `@every`, seconds and years are
 * not taken.
 */
export function isCron(text: string): boolean {
  const fields = text.split(' ');
  return (
    fields.length === FIELDS.length &&
    fields.every((field, i) => field.split(',').every((part) => isPart(part, FIELDS[i]!)))
  );
}

function isPart(part: string, field: (typeof FIELDS)[number]): boolean {
  const [, from, to, step] = /^(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:\/([0-9]{1,2}))?$/i.exec(part) ?? [];
  if (from === undefined || (step !== undefined && Number(step) === 0)) return false;
  if (from === '*') return to === undefined;
  const [first, last] = [valueOf(from, field), to === undefined ? undefined : valueOf(to, field)];
  if (first === undefined) return false;
  return to === undefined || (last !== undefined && first <= last);
}

function valueOf(text: string, { from, to, names }: (typeof FIELDS)[number]): number | undefined {
  const named = names?.indexOf(text.toLowerCase()) ?? -1;
  if (named >= 0) return from + named;
  const value = /^[0-9]{1,2}$/.test(text) ? Number(text) : NaN;
  return value >= from && value <= to ? value : undefined;
}
