import { OpsError } from './errors.js';
import type { TenantId } from './ids.js';
import { quotePlace } from './places.js';
import { type VideoSource, parseSource, sourceText } from './sources.js';

/** Stands in a place for the tenant's id. */
export const TENANT = '{tenant}';
const EXAMPLE = 'for example CVOPS_SOURCE_PLACES=/srv/videos/{tenant}/,s3://films/{tenant}/';

/** Where tenants' files lie, each tenant's below its own id; went through {@link parseSourcePlaces}. */
export type SourcePlace = Exclude<VideoSource, { kind: 'list' }>;

/** A folder of one tenant. */
export interface TenantFolder {
  readonly kind: 'folder';
  /** The folder that its id names. Links up to here are the installation's; below, anybody's who may write there. */
  readonly own: string;
  /** The place in it, with `/`; empty: it itself. */
  readonly below: string;
}

/** A place of one tenant. */
export type TenantPlace =
  TenantFolder | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string };

/** What an operation is pointed at, a source or one file. */
export type NamedPlace = VideoSource | { readonly kind: 'file'; readonly path: string };

/**
 * The one parser of `CVOPS_SOURCE_PLACES`, a folder or S3 prefix each. It ends with `/`, so that what was cut in two at a
 * comma is refused, and has `{tenant}` once, as a whole segment: without it, it would be a place of everybody's.
 *
 * @throws OpsError `InvalidInput`
 */
export function parseSourcePlaces(texts: readonly string[]): SourcePlace[] {
  const places = texts.map((text) => {
    const refuse = (why: string) =>
      new OpsError('InvalidInput', `a place of tenants ${why}: ${quotePlace(text)}`, EXAMPLE);
    const place = parseSource(text);
    if (place.kind === 'list') throw refuse('is a folder or an S3 prefix');
    const why = place.kind === 's3' ? flaw(place.prefix) : flaw(place.path.slice(1));
    if (why !== undefined) throw refuse(why);
    return place;
  });
  requireApart('tenants', places.map(sourceText));
  return places;
}

/**
 * Refuses places of which a name could be in two tenants': what stands before `{tenant}` is in no two the beginning of one
 * another. `/srv/x/{tenant}/` beside `/srv/{tenant}/` would be tenant `x`'s, with everybody's files in it.
 *
 * @param what of which these are the places
 * @param texts each with `{tenant}` once
 * @throws OpsError `InvalidInput`
 */
export function requireApart(what: string, texts: readonly string[]): void {
  const before = (text: string) => text.slice(0, text.indexOf(TENANT));
  for (const text of texts) {
    const within = texts.find((other) => before(other) !== before(text) && text.startsWith(before(other)));
    if (within !== undefined)
      throw new OpsError(
        'InvalidInput',
        `a name could be in two tenants' places of ${what}: ${quotePlace(within)}, ${quotePlace(text)}`,
        `let what stands before ${TENANT} be the same, or neither the beginning of the other`,
      );
  }
}

/**
 * Why a path is no place of tenants.
 *
 * @param path without the `/` that an absolute one begins with
 * @returns undefined when it is one
 */
export function flaw(path: string): string | undefined {
  if (!path.endsWith('/')) return 'ends with /';
  const segments = path.slice(0, -1).split('/');
  if (segments.includes('') || !isPlain(segments)) return 'has no empty, . or .. segment';
  const whole = segments.filter((segment) => segment.includes(TENANT)).join() === TENANT;
  return whole ? undefined : `has ${TENANT} once, as a whole segment`;
}

/** The places of one tenant. */
export function placesOf(tenant: TenantId, places: readonly SourcePlace[]): TenantPlace[] {
  return places.map((place) =>
    place.kind === 's3'
      ? { ...place, prefix: place.prefix.replace(TENANT, tenant) }
      : folderOf(tenant, place.path),
  );
}

/** @param path of a place, absolute */
export function folderOf(tenant: TenantId, path: string): TenantFolder {
  const [above = '', below = ''] = path.split(`/${TENANT}/`);
  return { kind: 'folder', own: `${above}/${tenant}`, below: below.replace(/\/$/, '') };
}

/**
 * Why a tenant's principal may not name a place. By the name alone: what a path leads to is held against the places where
 * it is opened (`src/sources/reach.ts`).
 *
 * @returns undefined when it may
 */
export function placeDenial(
  tenant: TenantId,
  places: readonly TenantPlace[],
  named: NamedPlace,
): { readonly why: string; readonly hint: string } | undefined {
  if (places.some((place) => contains(place, named))) return undefined;
  if (places.length === 0)
    return {
      why: `no place is set that principals of tenant ${tenant} may have read`,
      hint: 'ask an administrator, who may name any place, or to set CVOPS_SOURCE_PLACES for data workers and commands',
    };
  const text = named.kind === 'file' ? named.path : sourceText(named);
  return {
    why: `${quotePlace(text)} is in no place of tenant ${tenant}`,
    hint: `name what is below ${places.map(placeText).join(' or ')} (CVOPS_SOURCE_PLACES), or ask an administrator`,
  };
}

/** Whether what is named lies in a place, by its name alone. */
export function contains(place: TenantPlace, named: NamedPlace): boolean {
  if (named.kind === 's3')
    return (
      place.kind === 's3' &&
      place.bucket === named.bucket &&
      named.prefix.startsWith(place.prefix) &&
      // To S3 these are letters like any others; not to every proxy in front of a server that speaks S3.
      isPlain(named.prefix.split('/'))
    );
  if (place.kind === 's3') return false;
  const root = placeText(place).slice(0, -1).split('/');
  const path = named.path.split('/');
  const isBelow = root.every((segment, at) => path[at] === segment) && isPlain(path);
  // A folder may be the place itself, with or without its last slash; a file is a name in it.
  return isBelow && (named.kind === 'folder' || path.slice(root.length).some((segment) => segment !== ''));
}

function isPlain(segments: readonly string[]): boolean {
  return !segments.some((segment) => segment === '.' || segment === '..');
}

/** As {@link parseSourcePlaces} reads it, with the tenant's id in it. */
export function placeText(place: TenantPlace): string {
  if (place.kind === 's3') return sourceText(place);
  return place.below === '' ? `${place.own}/` : `${place.own}/${place.below}/`;
}
