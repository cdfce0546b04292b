import { OpsError } from '../../domain/errors.js';
import { withRemovalAllowed, withoutRemovalAllowed } from '../package/overrides.js';
import { INITIAL_HOSTS, editServices, initialServices, mappedSchemas } from '../package/services.js';
import { type DeployApi, type PackageRequest, putsOf, removalsOf } from './requests.js';

export const SERVICES = 'services.xml';
const OVERRIDES = 'validation-overrides.xml';
/** Carries a random revision per deploy: tells whether a deploy of unknown outcome happened, and a stale copy apart. */
export const MARKER = 'cvops/revision.json';

/** What makes the package that is asked for of the active one. */
export interface Edit {
  readonly puts: ReadonlyMap<string, Buffer>;
  readonly deletes: readonly string[];
  /** Mappings of `services.xml` that go. */
  readonly unmapped: readonly string[];
}

/** Path of a schema's file in the package. @throws OpsError `InvalidInput` for what is no schema name */
export function sdFile(name: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    throw new OpsError('InvalidInput', `not a schema name: ${JSON.stringify(name)}`);
  return `schemas/${name}.sd`;
}

/** The whole package of an application that does not exist yet; undefined when nothing is to be put in it. */
export function firstPackage(requests: readonly PackageRequest[], revision: string): Edit | undefined {
  const schemas = new Map(putsOf(requests).map(({ name, sd }) => [name, sd]));
  if (schemas.size === 0) return undefined;
  const puts = new Map([
    [SERVICES, Buffer.from(initialServices([...schemas.keys()]))],
    ['hosts.xml', Buffer.from(INITIAL_HOSTS)],
    [MARKER, marker(revision)],
    ...[...schemas].map(([name, sd]) => [sdFile(name), Buffer.from(sd)] as const),
  ]);
  return { puts, deletes: [], unmapped: [] };
}

/**
 * The edit of a session that is a copy of the active package; undefined when that already is as asked.
 *
 * @param now dates the override of a removal
 */
export async function editOf(
  server: DeployApi,
  session: string,
  requests: readonly PackageRequest[],
  revision: string,
  now: Date,
): Promise<Edit | undefined> {
  const read = async (path: string): Promise<string | undefined> =>
    (await server.readFile(path, session))?.toString('utf8');
  const services = await read(SERVICES);
  if (services === undefined)
    throw new OpsError('Rejected', 'the active package has no services.xml', 'deploy a valid package first');

  const puts = new Map<string, Buffer>();
  const schemas = new Map(putsOf(requests).map(({ name, sd }) => [name, sd]));
  for (const [name, sd] of schemas)
    if ((await read(sdFile(name))) !== sd) puts.set(sdFile(name), Buffer.from(sd));
  const removals = removalsOf(requests);
  const deletes: string[] = [];
  for (const path of removals.map(sdFile)) if ((await read(path)) !== undefined) deletes.push(path);
  const edited = editServices(services, { add: [...schemas.keys()], remove: removals });
  if (edited !== services) puts.set(SERVICES, Buffer.from(edited));
  if (puts.size === 0 && deletes.length === 0) return undefined;

  const unmapped = mappedSchemas(services).filter((name) => removals.includes(name));
  const overrides = await read(OVERRIDES);
  // It is the mapping whose removal takes the documents along; a file without one is inert.
  const wanted = unmapped.length > 0 ? withRemovalAllowed(overrides, now) : withoutRemovalAllowed(overrides);
  if (wanted === undefined && overrides !== undefined) deletes.push(OVERRIDES);
  else if (wanted !== undefined && wanted !== overrides) puts.set(OVERRIDES, Buffer.from(wanted));
  puts.set(MARKER, marker(revision));
  return { puts, deletes, unmapped };
}

export function marker(revision: string): Buffer {
  return Buffer.from(`${JSON.stringify({ revision })}\n`);
}
