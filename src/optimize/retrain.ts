import { ROUTING_CONFIG, type RoutingConfig } from '../domain/config/keys.js';
import { type FailureType, OpsError } from '../domain/errors.js';
import { DEFAULT_RETRAIN_ANNOTATIONS, DEFAULT_RETRAIN_DAYS } from '../domain/optimization.js';
import { DAY_MS } from '../domain/retention.js';
import { type Pool, transaction } from '../registry/database.js';
import { type StoredExperience, countExperiences, listExperiences } from '../registry/experiences.js';
import {
  type Retraining,
  noteRetraining,
  optimizationState,
  retrainingOf,
} from '../registry/optimization.js';
import { lockLife } from '../registry/tenants.js';
import { writeConfigIn } from '../tenants/config.js';
import type { Optimized } from './enabled.js';
import { LABELS_READ } from './labels.js';
import { type Figures, type Learnt, type Sample, learn } from './learn.js';

/** Author of the versions that retraining writes. */
export const OPTIMIZER = 'system:optimizer';

/** Closed to changes, changed by somebody meanwhile, or holding what is refused by now. */
const NOT_NOW: readonly FailureType[] = ['WrongState', 'Conflict', 'InvalidInput'];

export interface Retrained {
  /** Whether it was time to learn; if not, `why` says so. */
  readonly retrained: boolean;
  /** Whether a new version of the routing configuration was written. */
  readonly applied: boolean;
  readonly why: string;
  /** Share of right decisions on the held-out part, by the running rule and by the best candidate; null: none was judged. */
  readonly before: number | null;
  readonly after: number | null;
  /** The version that was written; null: none. */
  readonly version: number | null;
}

/**
 * Learns thresholds and weights from the labelled experiences, when there is enough that is new, and puts them to use when
 * they are shown to be better. The verdict and the new version are one transaction: killed at any point, there are both or
 * neither.
 *
 * @param options.now a person asks: the days since the last time do not matter
 */
export async function retrainRouting(
  pool: Pool,
  life: Optimized,
  options: {
    readonly now: boolean;
    /** Of the workflow, a UUID: a second attempt finds what the first came to. */
    readonly run: string;
    readonly allowedPrivate: readonly string[];
  },
): Promise<Retrained> {
  const { incarnation } = life.row;
  const there = await retrainingOf(pool, incarnation, options.run);
  if (there !== undefined) return resultOf(there);
  const { retrainedAt } = await optimizationState(pool, incarnation);
  const early = await tooEarly(pool, life, retrainedAt, options.now);
  if (early !== undefined)
    return { retrained: false, applied: false, why: early, before: null, after: null, version: null };

  const experiences = await listExperiences(pool, incarnation, { limit: LABELS_READ, labelled: true });
  const learnt = learn(life.routing, experiences.map(sampleOf));
  const { before, after } = learnt.figures;
  const version = await transaction(pool, async (tx) => {
    // Of this life, whoever bears its name by now.
    await lockLife(tx, life.row, 'optimize');
    const written =
      learnt.rule === null
        ? null
        : (
            await writeConfigIn(tx, {
              at: { ...ROUTING_CONFIG, tenant: life.row.tenant },
              what: { kind: 'value', value: { ...merged(life.routing, learnt) } },
              // Whoever has written meanwhile is right.
              expectVersion: life.routingVersion,
              ...{ principal: OPTIMIZER, reason: reasonOf(learnt), allowedPrivate: options.allowedPrivate },
            })
          ).version;
    await noteRetraining(tx, incarnation, options.run, {
      ...{ applied: written !== null, why: learnt.why, fromVersion: life.routingVersion, toVersion: written },
      figures: { ...learnt.figures },
    });
    return written;
  }).catch((error: unknown) => {
    // The next time is early enough, and sees how it is then.
    if (error instanceof OpsError && NOT_NOW.includes(error.type)) return error;
    throw error;
  });
  if (version instanceof OpsError)
    return { retrained: false, applied: false, why: version.message, before, after, version: null };
  return { retrained: true, applied: version !== null, why: learnt.why, before, after, version };
}

function resultOf({ applied, why, figures, toVersion }: Retraining): Retrained {
  const { before, after } = figures as unknown as Figures;
  return { retrained: true, applied, why, before, after, version: toVersion };
}

/** @returns why it is too early, as a text */
async function tooEarly(
  pool: Pool,
  { row, routing }: Optimized,
  retrainedAt: string | null,
  now: boolean,
): Promise<string | undefined> {
  const wanted = routing.retrain_min_annotations ?? DEFAULT_RETRAIN_ANNOTATIONS;
  const days = routing.retrain_min_days ?? DEFAULT_RETRAIN_DAYS;
  const { fresh } = await countExperiences(pool, row.incarnation, retrainedAt);
  if (fresh < wanted) return `${fresh} new labels of ${wanted}`;
  if (now || retrainedAt === null || Date.now() - Date.parse(retrainedAt) >= days * DAY_MS) return undefined;
  return `the last retraining was at ${retrainedAt}, less than ${days} days ago`;
}

function sampleOf({ spanId, ballots, expected }: StoredExperience): Sample {
  return { key: spanId, ballots, expected: expected! };
}

function merged(routing: RoutingConfig, { rule }: Learnt): RoutingConfig {
  const { confidence_thresholds, strategy_weights } = rule!;
  return { ...routing, confidence_thresholds, ...(strategy_weights ? { strategy_weights } : {}) };
}

function reasonOf({ why, figures }: Learnt): string {
  const { before, after, heldOut, gained, lost }: Figures = figures;
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  return `retrained: ${percent(before)} → ${percent(after)} right on ${heldOut} held-out decisions (${gained} gained, ${lost} lost); ${why}`;
}
