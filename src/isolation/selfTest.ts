import { LEAK_KINDS, type LeakKind } from '../domain/canaries.js';
import { OpsError } from '../domain/errors.js';
import { LEAKS } from './leaks.js';
import { type Finding, look } from './look.js';
import { plantCanaries, removeCanaries } from './plant.js';
import type { Sight } from './sights.js';
import type { Ways } from './ways.js';
import type { World } from './world.js';

/**
 * Plants a leak of one kind with two throw-away tenants, and looks whether the verification sees it, and that it saw
 * nothing before. Begins by taking back whatever an attempt that was killed left.
 *
 * @param drain waits until Phoenix has stored what it accepted
 * @throws OpsError `VerificationFailed` when something is found where nothing is planted
 */
export async function proveLeak(
  kind: LeakKind,
  world: World,
  drain: () => Promise<void>,
): Promise<{ readonly seen: boolean; readonly detail: string }> {
  const { stores, a, b, signal } = world;
  const leak = LEAKS[kind];
  const both = (work: typeof plantCanaries) =>
    Promise.all([a, b].map((member) => work(stores, member, signal)));
  await undoAll(world);
  try {
    await both(plantCanaries);
    await drain();
    const [before] = await findings(world, {});
    if (before)
      throw new OpsError(
        'VerificationFailed',
        `${before.a} and ${before.b} are not apart before anything is planted: ${before.name}: ${before.detail}`,
      );
    const faulty = await leak.plant(world);
    if (leak.sendsSpans) await drain();
    const found = await findings(world, faulty);
    const unseen = leak.shows.filter(
      ({ name, by, fits }) =>
        !found.some((each) => each.name === name && each.by === by && fits(each, world)),
    );
    return unseen.length === 0
      ? { seen: true, detail: named(leak.shows) }
      : { seen: false, detail: `not seen by ${named(unseen)}; ${found.length} other findings` };
  } finally {
    await undoAll(world);
    await both(removeCanaries);
  }
}

function named(sights: readonly Sight[]): string {
  return sights.map(({ name, by }) => (name === by ? name : `${name} (${by})`)).join(', ');
}

async function findings(world: World, faulty: Partial<Ways>): Promise<Finding[]> {
  const { waysOf, a, b, signal } = world;
  const seen = await Promise.all([
    look({ ...waysOf(a), ...faulty }, a, [b], signal),
    look(waysOf(b), b, [a], signal),
  ]);
  return seen.flatMap((each) => each.findings);
}

async function undoAll(world: World): Promise<void> {
  for (const kind of LEAK_KINDS) await LEAKS[kind].undo?.(world);
}
