import type { ConfigServer } from './configServer.js';
import { CONTENT_CLUSTER, contentClusterOf, mappedSchemas } from './package/services.js';

/** What the active application package holds; empty when there is no application yet. */
export interface ActivePackage {
  /** Names with a `schemas/<name>.sd`. */
  readonly files: ReadonlySet<string>;
  /** Names that `services.xml` maps to a content cluster: these hold documents. */
  readonly mapped: ReadonlySet<string>;
  readonly contentCluster: string;
}

/**
 * @throws Error when there is an active application whose package this server does not serve (yet): one of several
 *   config servers answers 404 until it has fetched it, and "nothing there" would be a lie
 */
export async function readPackage(server: ConfigServer): Promise<ActivePackage> {
  const [files, services] = await Promise.all([server.listFiles(), server.readFile('services.xml')]);
  if (services === undefined && (await server.activeGeneration()) !== undefined)
    throw new Error('the config server does not serve the application package (yet)');
  const text = services?.toString('utf8');
  return {
    files: new Set(
      files
        .filter((path) => /^schemas\/[^/]+\.sd$/.test(path))
        .map((path) => path.slice('schemas/'.length, -'.sd'.length)),
    ),
    mapped: new Set(text === undefined ? [] : mappedSchemas(text)),
    contentCluster: text === undefined ? CONTENT_CLUSTER : contentClusterOf(text),
  };
}

/** By file and by mapping: losing either loses the schema. */
export function isInPackage({ files, mapped }: ActivePackage, schema: string): boolean {
  return files.has(schema) && mapped.has(schema);
}

/** What the package has and no row of the registry names, in order. */
export function unregistered(
  { files, mapped }: ActivePackage,
  rows: readonly { readonly schemaName: string }[],
): string[] {
  const known = new Set(rows.map(({ schemaName }) => schemaName));
  return [...files.union(mapped)].filter((name) => !known.has(name)).toSorted();
}
