import { OpsError } from '../../domain/errors.js';
import { mappedSchemas } from '../package/services.js';
import { Overtaken } from './disturbance.js';
import { type Edit, SERVICES } from './edit.js';
import type { DeployApi } from './requests.js';

const HINT = 'nothing was activated; compare with: cvops schema verify';

/** Reads an edit back, before the server judges the package: what it lost must not be blamed on a request. */
export async function confirmWritten(server: DeployApi, session: string, edit: Edit): Promise<void> {
  const lost: string[] = [];
  const check = async (path: string, wanted: Buffer | undefined): Promise<void> => {
    const there = await server.readFile(path, session);
    if (wanted === undefined ? there !== undefined : there === undefined || !there.equals(wanted))
      lost.push(path);
  };
  await Promise.all([
    ...[...edit.puts].map(([path, body]) => check(path, body)),
    ...edit.deletes.map((path) => check(path, undefined)),
  ]);
  if (lost.length > 0)
    throw new OpsError(
      'VerificationFailed',
      `refusing to activate: the server did not keep our change of ${lost.toSorted().join(', ')}`,
      HINT,
    );
}

/**
 * The last look before activation: what the active package has and the session has not must be exactly what was planned
 * to go. Listed by the server, not computed from what we meant to write. Files and mappings are each compared by
 * themselves: a mapping that goes takes the documents along, whether or not its file stays.
 *
 * @param base generation the session began from
 * @throws Overtaken when that is active no more: what another deploy added is not what we would remove
 */
export async function confirmRemovals(
  server: DeployApi,
  session: string,
  base: number | undefined,
  edit: Edit,
): Promise<void> {
  const [before, after] = await Promise.all([contentOf(server, undefined), contentOf(server, session)]);
  if ((await server.activeGeneration()) !== base) throw new Overtaken('another session became active');
  refuseUnlessEqual('file', before.files.difference(after.files), new Set(edit.deletes));
  refuseUnlessEqual('mapping', before.mapped.difference(after.mapped), new Set(edit.unmapped));
}

function refuseUnlessEqual(
  what: 'file' | 'mapping',
  removed: ReadonlySet<string>,
  planned: ReadonlySet<string>,
): void {
  const unplanned = [...removed.difference(planned)];
  const kept = [...planned.difference(removed)];
  if (unplanned.length > 0)
    throw new OpsError(
      'VerificationFailed',
      `refusing to activate: the deploy would also remove ${what} ${unplanned.join(', ')}`,
      HINT,
    );
  if (kept.length > 0)
    throw new OpsError(
      'VerificationFailed',
      `refusing to activate: the deploy would not remove ${what} ${kept.join(', ')}`,
      HINT,
    );
}

async function contentOf(
  server: DeployApi,
  session: string | undefined,
): Promise<{ files: Set<string>; mapped: Set<string> }> {
  const [files, services] = await Promise.all([
    server.listFiles(session),
    server.readFile(SERVICES, session),
  ]);
  return {
    files: new Set(files),
    mapped: new Set(services === undefined ? [] : mappedSchemas(services.toString('utf8'))),
  };
}
