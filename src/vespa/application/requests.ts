import { OpsError } from '../../domain/errors.js';
import type { ConfigServer } from '../configServer.js';

/** One request: schemas to put (by physical name) and to take out. */
export interface PackageRequest {
  readonly id: string;
  readonly put: readonly { readonly name: string; readonly sd: string }[];
  readonly remove: readonly string[];
}

/** What a deploy needs of a config server. */
export type DeployApi = Pick<
  ConfigServer,
  | 'activeGeneration'
  | 'readFile'
  | 'listFiles'
  | 'createSessionFromActive'
  | 'createSession'
  | 'putFile'
  | 'deleteFile'
  | 'prepare'
  | 'activate'
>;

export function putsOf(requests: readonly PackageRequest[]): PackageRequest['put'][number][] {
  return requests.flatMap((request) => request.put);
}

export function removalsOf(requests: readonly PackageRequest[]): string[] {
  return [...new Set(requests.flatMap((request) => request.remove))];
}

/** @throws OpsError `Conflict` when one package cannot be what every request asks for */
export function checkBatch(requests: readonly PackageRequest[]): void {
  const removals = new Set(removalsOf(requests));
  const texts = new Map<string, string>();
  for (const { name, sd } of putsOf(requests)) {
    // Leaving the schema in would show its old documents to whoever puts it.
    if (removals.has(name))
      throw new OpsError('Conflict', `a batch that puts and removes ${name} must be two deploys`);
    if ((texts.get(name) ?? sd) !== sd)
      throw new OpsError('Conflict', `a batch that puts two texts as ${name} must be two deploys`);
    texts.set(name, sd);
  }
}
