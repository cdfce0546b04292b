import { realpath } from 'node:fs/promises';
import { type ReferenceRules, ownSecret, readDenial, sentReferences } from '../domain/config/references.js';
import type { ConfigKey } from '../domain/config/keys.js';
import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { type OwnSecrets, isOwnSecret } from '../domain/ownSecrets.js';
import { secretPlaceOf, secretPlacesOf } from '../domain/secretPlaces.js';
import type { TenantFolder } from '../domain/sourcePlaces.js';
import { type Pin, pinned, realRoot } from '../pinned.js';
import type { ConfigVersion } from '../registry/config.js';
import { readReference } from '../secrets.js';
import { isInside } from '../video/discover.js';

/**
 * What a secret reference of a tenant's configuration stands for, held once more against who may refer to what: a version may
 * be older than the rules, and a file may lead elsewhere by now.
 *
 * In a place of the tenant it is read as far as it stays there, whoever set it; elsewhere when an administrator answers for
 * it. The installation's own secrets are read for nobody.
 *
 * @param of.path of the reference: `llm_api_key`
 * @param of.what names the secret in messages
 * @returns undefined when there is no reference
 * @throws OpsError `PermissionDenied`; `InvalidInput` when it leads to nothing in this process, or to an own secret
 */
export async function readTenantSecret(
  rules: ReferenceRules,
  tenant: TenantId,
  of: {
    readonly key: ConfigKey;
    readonly config: Pick<ConfigVersion, 'value' | 'vouched'>;
    readonly path: string;
    readonly what: string;
  },
): Promise<string | undefined> {
  const { key, config, path, what } = of;
  const sent = sentReferences(key, config.value).find((each) => each.path === path);
  if (sent === undefined) return undefined;
  const { reference } = sent;
  const denial = readDenial(tenant, rules, config.vouched, sent);
  if (denial !== undefined) throw new OpsError('PermissionDenied', denial.why, denial.hint);
  if (isOwnSecret(reference, rules.own)) throw ownSecret(path, reference);
  const refuse = () => ownSecret(path, reference);
  const place = secretPlaceOf(secretPlacesOf(tenant, rules.places), reference);
  const pin =
    place?.kind === 'folder' ? within(place, rules.own, tenant, refuse) : anywhereElse(rules.own, refuse);
  return readReference(reference, what, process.env, pin);
}

/** What really lies in a folder of the tenant, by whatever link. */
function within(folder: TenantFolder, own: OwnSecrets, tenant: TenantId, refuse: () => OpsError): Pin {
  return (name) =>
    pinned(name, async (real) => {
      const root = await realRoot(folder);
      if (root === undefined || !isInside(root, real))
        throw new OpsError(
          'PermissionDenied',
          `the secret file:${name} leads out of the places of tenant ${tenant}`,
          'links are followed as far as they stay in a place of the tenant (CVOPS_SECRET_PLACES)',
        );
      if (isOwnSecret(`file:${real}`, await really(own))) throw refuse();
    });
}

/** What an administrator named, unless it leads to a secret of the installation. */
function anywhereElse(own: OwnSecrets, refuse: () => OpsError): Pin {
  return async (name) => {
    const file = await realpath(name);
    if (isOwnSecret(`file:${file}`, await really(own))) throw refuse();
    return { file, [Symbol.asyncDispose]: () => Promise.resolve() };
  };
}

/** Also by the names that their links lead to. */
async function really(own: OwnSecrets): Promise<OwnSecrets> {
  const real = await Promise.all(
    own.files.map(async (file) => {
      const found = await realpath(file).catch(() => file);
      return file.endsWith('/') && !found.endsWith('/') ? `${found}/` : found;
    }),
  );
  return { ...own, files: [...own.files, ...real] };
}
