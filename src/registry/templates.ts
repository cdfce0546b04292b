import { OpsError } from '../domain/errors.js';
import { quoteForMessage } from '../domain/ids.js';
import {
  DEFAULT_TEMPLATE,
  TEMPLATES,
  type TemplateValues,
  applyOverrides,
  isBuiltIn,
  parseTemplateName,
} from '../domain/templates.js';
import { appendAudit } from './audit.js';
import { type Pool, type Queryable, rehearsed, transaction } from './database.js';
import { storableText } from './storable.js';

export interface Template {
  readonly name: string;
  readonly builtIn: boolean;
  readonly values: TemplateValues;
  /** Of one that operators added: who wrote it last, why, and when (ISO 8601). */
  readonly author?: string;
  readonly reason?: string;
  readonly createdAt?: string;
}

interface Write {
  readonly principal: string;
  readonly reason: string;
}

const COLUMNS = `name, false as "builtIn", "values", author, reason, to_json(created_at)#>>'{}' as "createdAt"`;

/** The built-in ones, then the operators' in order of their names. */
export async function listTemplates(db: Queryable): Promise<Template[]> {
  const { rows } = await db.query<Template>(`select ${COLUMNS} from tenant_templates order by name`);
  return [...Object.entries(TEMPLATES).map(([name, values]) => ({ name, builtIn: true, values })), ...rows];
}

export async function findTemplate(db: Queryable, name: string): Promise<Template | undefined> {
  if (isBuiltIn(name)) return { name, builtIn: true, values: TEMPLATES[name]! };
  const { rows } = await db.query<Template>(`select ${COLUMNS} from tenant_templates where name = $1`, [
    storableText(name),
  ]);
  return rows[0];
}

/** A template's values, built-in or from the registry. @throws OpsError `InvalidInput` naming the templates */
export async function resolveTemplate(db: Queryable, name: string): Promise<TemplateValues> {
  const found = await findTemplate(db, name);
  if (found) return found.values;
  throw new OpsError('InvalidInput', `no such template: ${quoteForMessage(name)}`, await names(db));
}

/** @throws OpsError `NotFound` naming the templates */
export async function getTemplate(db: Queryable, name: string): Promise<Template> {
  const found = await findTemplate(db, name);
  if (found) return found;
  throw new OpsError('NotFound', `no template ${quoteForMessage(name)}`, await names(db));
}

/**
 * Writes a template: the overrides on top of its base, which is its own present values unless `from` names another; a
 * new one without `from` begins as the default template.
 *
 * @throws OpsError `InvalidInput` for a bad name or value, an unknown base, or a built-in name
 */
export async function setTemplate(
  pool: Pool,
  template: {
    readonly name: string;
    readonly from?: string | undefined;
    readonly overrides: Readonly<Record<string, string>>;
    readonly dryRun?: boolean | undefined;
  },
  { principal, reason }: Write,
): Promise<Template> {
  const name = ownName(template.name);
  return transaction(pool, async (tx) => {
    // Two edits of one template must not be made from the same values.
    await tx.query('lock table tenant_templates in share row exclusive mode');
    const there = await findTemplate(tx, name);
    const base = template.from ?? (there ? name : DEFAULT_TEMPLATE);
    const values = applyOverrides(await resolveTemplate(tx, base), template.overrides);
    if (template.dryRun) return { name, builtIn: false, values };
    const { rows } = await tx.query<Template>(
      `insert into tenant_templates as t (name, "values", author, reason) values ($1, $2, $3, $4)
       on conflict (name) do update set "values" = $2, author = $3, reason = $4, created_at = now()
       returning ${COLUMNS}`,
      [name, JSON.stringify(values), storableText(principal), storableText(reason)],
    );
    const detail = { template: name, from: base, fields: Object.keys(template.overrides) };
    await appendAudit(tx, {
      principal,
      verb: 'setTemplate',
      tenant: '-',
      outcome: 'completed',
      reason,
      detail,
    });
    return rows[0]!;
  });
}

/**
 * Tenants made from it keep their configuration. A dry run says which it would be.
 *
 * @throws OpsError `NotFound`, `InvalidInput` for a built-in one
 */
export async function removeTemplate(
  pool: Pool,
  given: string,
  { principal, reason, dryRun = false }: Write & { readonly dryRun?: boolean },
): Promise<Template> {
  const name = ownName(given);
  return (dryRun ? rehearsed : transaction)(pool, async (tx) => {
    const { rows } = await tx.query<Template>(
      `delete from tenant_templates where name = $1 returning ${COLUMNS}`,
      [name],
    );
    const [removed] = rows;
    if (removed === undefined)
      throw new OpsError('NotFound', `no template ${quoteForMessage(name)}`, await names(tx));
    const detail = { template: name };
    await appendAudit(tx, {
      principal,
      verb: 'removeTemplate',
      tenant: '-',
      outcome: 'completed',
      reason,
      detail,
    });
    return removed;
  });
}

function ownName(text: string): string {
  if (!isBuiltIn(text)) return parseTemplateName(text);
  throw new OpsError(
    'InvalidInput',
    `${text} is built in: it cannot be replaced or removed`,
    `make your own from it: cvops template set NAME --from ${text} --set max_qps=20`,
  );
}

async function names(db: Queryable): Promise<string> {
  return `templates: ${(await listTemplates(db)).map(({ name }) => name).join(', ')}`;
}
