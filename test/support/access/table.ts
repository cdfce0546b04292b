import { denialOf } from '../../../src/access/principal.js';
import { LOCAL, type Role, VERBS, type Verb, WORKFLOWS } from '../../../src/domain/access.js';
import { parseTenantId } from '../../../src/domain/ids.js';

/** Who tries, and on whose things. */
export const COLUMNS = {
  'reader, own': { role: 'reader', whose: 'own' },
  'reader, another': { role: 'reader', whose: 'another' },
  'operator, own': { role: 'operator', whose: 'own' },
  'operator, another': { role: 'operator', whose: 'another' },
  admin: { role: 'admin', whose: 'another' },
} as const satisfies Readonly<Record<string, { readonly role: Role; readonly whose: 'own' | 'another' }>>;
export type Column = keyof typeof COLUMNS;
export const columns = Object.keys(COLUMNS) as Column[];
export const verbs = Object.keys(VERBS) as Verb[];

/** `yes`: let in; `-`: denied, and told; `own only`: let in, and shown nothing of another's. Else what was wrong with it. */
export type Cells = Readonly<Record<Column, string>>;
export type AccessTable = Readonly<Record<Verb, Cells>>;

/** They cannot name a tenant: what they show is narrowed to the principal's own. */
const NAMELESS: ReadonlySet<Verb> = new Set<Verb>(['tenant list']);

/** Every verb by every role, as the one decision decides it. */
export function decidedTable(): AccessTable {
  const row = (verb: Verb) => columns.map((column) => [column, decided(verb, column)] as const);
  return Object.fromEntries(verbs.map((verb) => [verb, Object.fromEntries(row(verb))])) as AccessTable;
}

function decided(verb: Verb, column: Column): string {
  const [own, other] = [parseTenantId('own'), parseTenantId('other')];
  const { role, whose } = COLUMNS[column];
  const bearer = { subject: '', role, tenant: column === 'admin' ? undefined : own, token: '' };
  const may = (...named: readonly string[]) => denialOf(bearer, verb, named) === undefined;
  if (may(whose === 'own' ? own : other)) return 'yes';
  return NAMELESS.has(verb) && may() ? 'own only' : '-';
}

/** As Markdown, in the order of the table that decides. */
export function accessDocument(table: AccessTable): string {
  const head = ['verb', ...columns];
  const rows = verbs.map((verb) => [`\`${verb}\``, ...columns.map((column) => table[verb][column])]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  const list = (names: readonly string[]) => names.map((name) => `- \`${name}\``);
  return [
    '# Who may do what',
    '',
    'What came of trying: `npm run docs:access` gives every command to the command tree, as each role, against a running stack,',
    'and writes this. `npm test` tries it all again (`test/integration/accessTable.test.ts`) and compares, also with the table that',
    'decides (`src/domain/access.ts`). What the words mean is in [access.md](access.md).',
    '',
    '- `yes`: it was done, or came to a fault of its own such as exit 6; never to one of usage, and with no refusal in the audit log,',
    '  which has an entry of whatever changed something',
    '- `-`: `PermissionDenied`, exit 4, and one entry in the audit log with outcome `denied`',
    '- `own only`: it can name no tenant, and what it shows has none but one’s own',
    '',
    'Another tenant’s were also the backups, operations, alerts, memories and the erasure certificate that were named by their ids.',
    '',
    line(head),
    `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`,
    ...rows.map(line),
    '',
    'Without a token, as they ask nothing of an installation:',
    '',
    ...list(LOCAL),
    '',
    'Past command and client, with a Temporal client and an operator’s own credential, each of these workflow types was started for',
    'another tenant and refused by the workers, and told (`test/integration/access.test.ts`):',
    '',
    ...list(Object.keys(WORKFLOWS)),
    '',
  ].join('\n');
}
