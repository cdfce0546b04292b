import { OpsError } from './errors.js';
import { type TenantId, quoteForMessage } from './ids.js';
import { isReserved } from './ownSecrets.js';
import {
  TENANT,
  type TenantFolder,
  contains,
  flaw,
  folderOf,
  placeText,
  requireApart,
} from './sourcePlaces.js';

const EXAMPLE = `for example CVOPS_SECRET_PLACES=file:/etc/cvops/tenants/${TENANT}/,env:TENANT_${TENANT}__`;
/** Two underscores are in no tenant's id, and none ends in one: where the id ends is certain. */
const VARIABLES = /^env:[A-Za-z_][A-Za-z0-9_]*\{tenant\}__$/;

/** `file:` and a folder, or `env:` and what names begin with, with `{tenant}` in it; went through {@link parseSecretPlaces}. */
export type SecretPlace = string & { readonly secretPlace: never };

/** A place of one tenant. */
export type TenantSecretPlace =
  | TenantFolder
  /** What the names of its variables begin with. */
  | { readonly kind: 'env'; readonly prefix: string };

/**
 * The one parser of `CVOPS_SECRET_PLACES`: folders as in `CVOPS_SOURCE_PLACES`, `file:/…/{tenant}/…/`, and beginnings of
 * variables, `env:…{tenant}__`.
 *
 * @throws OpsError `InvalidInput`
 */
export function parseSecretPlaces(texts: readonly string[]): SecretPlace[] {
  for (const text of texts) {
    const why = flawOf(text);
    if (why !== undefined)
      throw new OpsError('InvalidInput', `a place of secrets ${why}: ${quoteForMessage(text)}`, EXAMPLE);
  }
  requireApart('secrets', texts);
  return [...texts] as SecretPlace[];
}

function flawOf(text: string): string | undefined {
  if (text.startsWith('file:/')) return flaw(text.slice('file:/'.length));
  if (!text.startsWith('env:')) return 'begins with file:/ or env:';
  if (!VARIABLES.test(text)) return `is of variables a beginning, ${TENANT} and two underscores`;
  return isReserved(text.slice('env:'.length)) ? "is of variables the installation's own" : undefined;
}

/** The places of one tenant. */
export function secretPlacesOf(tenant: TenantId, places: readonly SecretPlace[]): TenantSecretPlace[] {
  return places.map((place) =>
    place.startsWith('env:')
      ? { kind: 'env', prefix: place.slice('env:'.length).replace(TENANT, tenant) }
      : folderOf(tenant, place.slice('file:'.length)),
  );
}

/** The place that a reference is in, by its name alone; undefined: in none. */
export function secretPlaceOf(
  places: readonly TenantSecretPlace[],
  reference: string,
): TenantSecretPlace | undefined {
  return places.find((place) =>
    place.kind === 'env'
      ? reference.startsWith(`env:${place.prefix}`) && reference.length > `env:${place.prefix}`.length
      : reference.startsWith('file:') &&
        contains(place, { kind: 'file', path: reference.slice('file:'.length) }),
  );
}

/** As a person names what is in it. */
export function secretPlaceText(place: TenantSecretPlace): string {
  return place.kind === 'env' ? `env:${place.prefix}…` : `file:${placeText(place)}…`;
}
