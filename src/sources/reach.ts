import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { quotePlace } from '../domain/places.js';
import {
  type NamedPlace,
  type SourcePlace,
  type TenantPlace,
  placeDenial,
  placesOf,
} from '../domain/sourcePlaces.js';
import { type Pin, pinned, realRoot, unpinned } from '../pinned.js';
import { isInside } from '../video/discover.js';

/** What the operations of a principal may read. */
export interface Reach {
  /** Why it may not name a place, by the name alone; undefined: it may. */
  denialOf(named: NamedPlace): ReturnType<typeof placeDenial>;
  /** @throws OpsError `PermissionDenied` as {@link denialOf} says */
  require(named: NamedPlace): void;
  /**
   * Opens a file or folder whose name was let in, and holds what was really opened against the places: a link that is
   * exchanged between check and use leads nowhere else.
   *
   * @throws OpsError `PermissionDenied`, `Rejected` for what is neither file nor folder; the system's errors
   */
  readonly pin: Pin;
}

/** Of an administrator: whatever the process may read. */
export const ANYWHERE: Reach = {
  denialOf: () => undefined,
  require: () => undefined,
  pin: unpinned,
};

/** @param tenant the one that the principal has to do with; null: all */
export function reachOf(places: readonly SourcePlace[], tenant: TenantId | null): Reach {
  return tenant === null ? ANYWHERE : new TenantReach(tenant, placesOf(tenant, places));
}

class TenantReach implements Reach {
  constructor(
    private readonly tenant: TenantId,
    private readonly places: readonly TenantPlace[],
  ) {}

  denialOf(named: NamedPlace) {
    return placeDenial(this.tenant, this.places, named);
  }

  require(named: NamedPlace): void {
    const denial = this.denialOf(named);
    if (denial !== undefined) throw new OpsError('PermissionDenied', denial.why, denial.hint);
  }

  readonly pin: Pin = (name) => pinned(name, (real) => this.requireReal(name, real));

  private async requireReal(name: string, real: string): Promise<void> {
    for (const place of this.places) {
      const root = place.kind === 'folder' ? await realRoot(place) : undefined;
      if (root !== undefined && (real === root || isInside(root, real))) return;
    }
    // Where it leads to is nothing for whoever made the link.
    throw new OpsError(
      'PermissionDenied',
      `${quotePlace(name)} leads out of the places of tenant ${this.tenant}`,
      'links are followed as far as they stay in a place of the tenant (CVOPS_SOURCE_PLACES)',
    );
  }
}
