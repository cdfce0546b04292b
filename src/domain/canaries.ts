/**
 * Canaries are what a verification of isolation plants in each store of a tenant for a while (docs/isolation.md). These
 * marks keep them out of what belongs to the tenant: its searches, counts, memories, metrics, backups and exports.
 */

/** Vespa document namespace of theirs; visits of a tenant's documents name another. */
export const CANARY_NAMESPACE = 'canary';

/** Stands where other documents name their life (`incarnation`): a UUID, which this is not. */
export const CANARY_LIFE = 'canary';

/** Condition in YQL that no canary meets. Every base schema has the field. */
export const NO_CANARY = `!(incarnation contains "${CANARY_LIFE}")`;

/** Name of a span. */
export const CANARY_SPAN = 'cvops.canary';

/** Condition of Phoenix that no canary meets. */
export const NO_CANARY_SPAN = `name != "${CANARY_SPAN}"`;

/** Of a row of configuration; none of `CONFIG_SCOPES`. */
export const CANARY_SCOPE = 'canary';

export function isCanaryDocument(id: string): boolean {
  return id.startsWith(`id:${CANARY_NAMESPACE}:`);
}

/** Ways by which a tenant gets at its own, and so perhaps at another's. */
export const ISOLATION_WAYS = ['search', 'get', 'visit', 'memory', 'spans', 'config'] as const;
export type IsolationWay = (typeof ISOLATION_WAYS)[number];

/** The faults that the self-test plants, and must see. */
export const LEAK_KINDS = [
  'document of another tenant',
  'schema of another tenant by its registry row',
  'search without the schema',
  'memory of another tenant',
  'memory under the id of another tenant',
  'configuration under another life',
  'span of another tenant',
  'one Phoenix project for two tenants',
  'canary that its owner does not find',
  'visit of the whole cluster',
  'schemas found by the beginning of their name',
  'document of a former life',
] as const;
export type LeakKind = (typeof LEAK_KINDS)[number];
