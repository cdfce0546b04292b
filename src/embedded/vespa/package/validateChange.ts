import { XMLParser } from 'fast-xml-parser';
import type { ApplicationModel, FieldType } from '../model.js';
import type { PackageFiles } from './archive.js';
import { PackageError } from './buildModel.js';

const DAY_MS = 24 * 3600 * 1000;

/** Refuses changes that lose data unless an override of the day allows them. @throws PackageError */
export function validateChange(
  before: ApplicationModel | undefined,
  after: ApplicationModel,
  files: PackageFiles,
  now: Date,
): void {
  const allowed = readOverrides(files.get('validation-overrides.xml')?.toString('utf8'), now);
  if (before === undefined) return;
  const refuse = (id: string, what: string, message: string) => {
    if (allowed.has(id)) return;
    throw invalid(
      `${what}: ${message} To allow this add <allow until='yyyy-mm-dd'>${id}</allow> to validation-overrides.xml, see https://docs.vespa.ai/en/reference/applications/validation-overrides.html`,
    );
  };
  if (before.contentCluster !== after.contentCluster) {
    refuse(
      'content-cluster-removal',
      'Removal (or id change) of content clusters',
      `Content cluster '${before.contentCluster}' is removed. This will cause loss of all data in this cluster.`,
    );
  }
  for (const [name, schema] of before.schemas) {
    const next = after.schemas.get(name);
    if (next === undefined) {
      refuse(
        'schema-removal',
        'Removal of a schema causes deletion of all documents',
        `Schema '${name}' is removed in content cluster '${before.contentCluster}'. This will cause loss of all data in this schema.`,
      );
      continue;
    }
    for (const [fieldName, field] of schema.fields) {
      const changed = next.fields.get(fieldName);
      if (changed !== undefined && typeText(changed.type) !== typeText(field.type)) {
        refuse(
          'field-type-change',
          'Field type changes',
          `Document type '${name}': Field '${fieldName}' changed: data type: '${typeText(field.type)}' -> '${typeText(changed.type)}'.`,
        );
      }
    }
  }
}

/** Ids allowed today. An `until` lasts through its day (UTC) and may lie at most 29 days ahead; past ones are ignored. */
function readOverrides(text: string | undefined, now: Date): Set<string> {
  const allowed = new Set<string>();
  if (text === undefined) return allowed;
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '@',
    isArray: (name) => name === 'allow',
  });
  const root = (parser.parse(text) as Record<string, unknown>)['validation-overrides'] as
    { allow?: { '@until': string; '#text': string }[] } | string | undefined;
  for (const allow of typeof root === 'object' ? (root.allow ?? []) : []) {
    const id = allow['#text'].trim() === 'content-type-removal' ? 'schema-removal' : allow['#text'].trim();
    const end = Date.parse(`${allow['@until']}T00:00:00Z`) + DAY_MS;
    if (now.getTime() + 30 * DAY_MS < end) {
      throw invalid(
        `validation-overrides is invalid: allow '${id}' until ${new Date(end).toISOString().replace('.000', '')} is too far in the future: Max 30 days is allowed`,
      );
    }
    if (now.getTime() < end) allowed.add(id);
  }
  return allowed;
}

function invalid(message: string): PackageError {
  return new PackageError('INVALID_APPLICATION_PACKAGE', `Invalid application: ${message}`);
}

export function typeText(type: FieldType): string {
  switch (type.kind) {
    case 'tensor': {
      const dimensions = type.tensor.dimensions
        .map((d) => (d.size === undefined ? `${d.name}{}` : `${d.name}[${d.size}]`))
        .join(',');
      const cell = type.tensor.cell === 'double' ? '' : `<${type.tensor.cell}>`;
      return `tensor${cell}(${dimensions})`;
    }
    case 'array':
    case 'weightedset':
      return `${type.kind}<${typeText(type.element)}>`;
    case 'map':
      return `map<${typeText(type.key)},${typeText(type.value)}>`;
    default:
      return type.kind;
  }
}
