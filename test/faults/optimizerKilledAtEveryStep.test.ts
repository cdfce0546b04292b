import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROUTING_CONFIG, SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import { TEMPLATES } from '../../src/domain/templates.js';
import { type Optimized, optimizedLife } from '../../src/optimize/enabled.js';
import { evaluateSpans } from '../../src/optimize/evaluate.js';
import { retrainRouting } from '../../src/optimize/retrain.js';
import { configHistory, putConfig } from '../../src/registry/config.js';
import type { Pool } from '../../src/registry/database.js';
import { listExperiences, setLabel } from '../../src/registry/experiences.js';
import { listRetrainings } from '../../src/registry/optimization.js';
import { initialRoutingConfig, initialSystemConfig } from '../../src/tenants/initialConfig.js';
import { Mortal } from '../support/crashing.js';
import { PhoenixOfDecisions } from '../support/phoenixOfDecisions.js';
import { type TestRegistry, makeTenant, newOperation, startTestRegistry } from '../support/registry.js';
import { RUNNING, planted } from '../support/routingSamples.js';
import { routingSpans } from '../support/routingSpans.js';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry?.stop());

const addresses = { vespaUrl: 'http://127.0.0.1:8080', vespaConfigUrl: 'http://127.0.0.1:19071' };

/** A tenant that is optimized, with decisions in its project. */
async function world(decisions: number) {
  const { pool } = registry;
  const life = await makeTenant(pool);
  const values = { ...TEMPLATES['trial']!, optimization_enabled: true };
  const { incarnation, tenant } = life;
  const routing = { ...initialRoutingConfig(values), confidence_thresholds: RUNNING.confidence_thresholds };
  const by = { author: 'tests', reason: '' };
  const system = initialSystemConfig(tenant, { ...values, memory_enabled: true }, addresses);
  await putConfig(pool, { ...SYSTEM_CONFIG, incarnation }, 0, { value: { ...system }, ...by });
  await putConfig(pool, { ...ROUTING_CONFIG, incarnation }, 0, { value: { ...routing }, ...by });
  const optimized = (await optimizedLife(pool, life)) as Optimized;
  const phoenix = new PhoenixOfDecisions();
  const samples = planted(5, 0.5, decisions);
  phoenix.spans.push(...routingSpans(tenant, RUNNING, samples));
  const evaluate = (mortal = new Mortal(), of: Pool = mortal.poolWithTransactions(pool)) =>
    evaluateSpans(
      {
        ...{ pool: of, phoenix: phoenix.client(mortal) },
        ...{ signal: new AbortController().signal, onProgress: () => undefined },
      },
      optimized,
    );
  return { pool, tenant, incarnation, optimized, phoenix, samples, evaluate };
}

describe('an evaluation that is killed', () => {
  // More than two pages, so that the watermark moves.
  const DECISIONS = 450;

  test('at any step evaluates every span once in effect, and skips none', async () => {
    const clean = await world(DECISIONS);
    const whole = new Mortal();
    expect(await clean.evaluate(whole)).toBe(DECISIONS);
    expect(clean.phoenix.annotations.size).toBe(DECISIONS);
    // Every seventh step: of each kind on each page there are several.
    for (let at = 1; at <= whole.steps; at += 7) {
      const { evaluate, phoenix, pool, incarnation } = await world(DECISIONS);
      const mortal = new Mortal(at);
      await expect(evaluate(mortal)).rejects.toThrow('killed');
      const before = (await listExperiences(pool, incarnation, { limit: 1000 })).length;
      expect(await evaluate()).toBe(DECISIONS - before);
      const ids = new Set(phoenix.spans.map(({ context }) => context.span_id));
      const rows = [...phoenix.annotations.values()];
      expect(new Set(rows.map((row) => row.span_id))).toEqual(ids);
      expect(rows).toHaveLength(DECISIONS);
      const kept = await listExperiences(pool, incarnation, { limit: 1000 });
      expect(new Set(kept.map(({ spanId }) => spanId))).toEqual(ids);
      expect(await evaluate()).toBe(0);
    }
  });

  test('beside another one: together they evaluate each span once', async () => {
    const { evaluate, phoenix, pool } = await world(DECISIONS);
    const counts = await Promise.all([1, 2, 3].map(() => evaluate(new Mortal(), pool)));
    const rest = await evaluate(new Mortal(), pool);
    expect(counts.reduce((sum, count) => sum + count, rest)).toBe(DECISIONS);
    expect(phoenix.annotations.size).toBe(DECISIONS);
  });

  test('begins anew when a Phoenix began anew, whose numbers are below the watermark', async () => {
    const { evaluate, phoenix, tenant } = await world(DECISIONS);
    await evaluate();
    phoenix.spans.splice(0, phoenix.spans.length, ...routingSpans(tenant, RUNNING, planted(9, 0.5, 3)));
    expect(await evaluate()).toBe(3);
    expect(await evaluate()).toBe(0);
  });
});

test('a retraining that is killed at any step leaves one new version and one verdict', async () => {
  const run = async (at: number) => {
    const { pool, incarnation, optimized, samples, evaluate, phoenix } = await world(300);
    await evaluate(new Mortal(), pool);
    for (const [i, { context }] of phoenix.spans.entries()) {
      const { expected } = samples[i]!;
      await setLabel(pool, incarnation, context.span_id, { label: 'wrong_routing', kind: 'HUMAN', expected });
    }
    const options = { now: false, run: newOperation(), allowedPrivate: ['127.0.0.1'] };
    const mortal = new Mortal(at);
    const first = await retrainRouting(mortal.poolWithTransactions(pool), optimized, options).catch(
      (error: Error) => error,
    );
    if (at > 0) expect(first).toMatchObject({ message: 'killed' });
    const again = await retrainRouting(pool, optimized, options);
    expect(again).toMatchObject({ retrained: true, applied: true, version: 2 });
    expect(again.after! - again.before!).toBeGreaterThanOrEqual(0.05);
    expect(await listRetrainings(pool, incarnation, 10)).toHaveLength(1);
    expect(await configHistory(pool, { ...ROUTING_CONFIG, incarnation }, { limit: 10 })).toHaveLength(2);
    // The next one has nothing new to learn from.
    expect(await retrainRouting(pool, optimized, { ...options, run: newOperation() })).toMatchObject({
      ...{ retrained: false, why: '0 new labels of 50' },
    });
    return mortal.steps;
  };
  const steps = await run(0);
  for (let at = 1; at <= steps; at += 3) await run(at);
});
