import { LOCAL, type Role, VERBS, type Verb } from '../domain/access.js';
import { parseTenantId } from '../domain/ids.js';
import { denialOf } from './principal.js';

const [OWN, OTHER] = [parseTenantId('own'), parseTenantId('other')];
const COLUMNS: readonly (readonly [string, Role, readonly string[]])[] = [
  ['reader, own', 'reader', [OWN]],
  ['reader, another', 'reader', [OTHER]],
  ['operator, own', 'operator', [OWN]],
  ['operator, another', 'operator', [OTHER]],
  ['admin', 'admin', [OTHER]],
];

/** Every verb by every role, as the one decision decides it: Markdown. */
export function accessTable(): string {
  const rows = (Object.keys(VERBS) as Verb[]).map((verb) => [
    `\`${verb}\``,
    ...COLUMNS.map(([, role, tenants]) => (isAllowed(verb, role, tenants) ? 'yes' : '-')),
  ]);
  const head = ['verb', ...COLUMNS.map(([title]) => title)];
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  return [
    '# Who may do what',
    '',
    'Made from the table that decides (`src/domain/access.ts`) by `npm run docs:access`; a test compares them. `-` is',
    '`PermissionDenied`, exit 4, with an entry in the audit log. What the words mean is in [access.md](access.md).',
    '',
    line(head),
    `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`,
    ...rows.map(line),
    '',
    `Without a token, as they ask nothing of an installation: ${LOCAL.map((name) => `\`${name}\``).join(', ')}.`,
    '',
  ].join('\n');
}

function isAllowed(verb: Verb, role: Role, tenants: readonly string[]): boolean {
  const tenant = role === 'admin' ? undefined : OWN;
  return denialOf({ subject: '', role, tenant, token: '' }, verb, tenants) === undefined;
}
