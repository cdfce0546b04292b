import { randomBytes } from 'node:crypto';
import { isSpanContextValid } from '@opentelemetry/api';
import type { RouteInput, RouteResult } from '../contracts/routing.js';
import {
  DEFAULT_ROUTING_MS,
  ROUTING_CONFIG,
  type RoutingConfig,
  SYSTEM_CONFIG,
  type Strategy,
  type SystemConfig,
} from '../domain/config/keys.js';
import type { ReferenceRules } from '../domain/config/references.js';
import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { getConfig } from '../registry/config.js';
import type { Pool } from '../registry/database.js';
import { countCall } from '../quotas/calls.js';
import { addExperiences } from '../registry/experiences.js';
import { type TenantRow, requireTenant } from '../registry/tenants.js';
import { storedIds } from '../telemetry/destination.js';
import type { Tracing } from '../telemetry/telemetry.js';
import { readTenantSecret } from '../tenants/references.js';
import { route } from './router.js';
import { ROUTING_SPAN, routingAttributes } from './span.js';
import { embeddedStrategy } from './strategies/embedded.js';
import type { RoutingStrategy } from './strategies/port.js';
import { servedStrategy } from './strategies/served.js';

export interface RoutingResources {
  readonly pool: Pool;
  readonly tracing: Tracing;
  /** As the URL guard's. */
  readonly allowedPrivate: readonly string[];
  /** Which secrets the strategies' addresses may be sent. */
  readonly rules: ReferenceRules;
}

/**
 * With `tiered` a later strategy is not asked once one has decided, and nothing would ever be learnt of it: where the
 * routing is optimized, one query of so many asks all.
 */
const ASK_ALL_EVERY = 10;

/**
 * Routes one query of a tenant by its routing configuration. The decision is a span in the tenant's Phoenix project and an
 * experience in its buffer; a Phoenix that is down does not hold up the answer.
 *
 * @throws OpsError `NotFound`, `WrongState`, `QuotaExceeded`
 */
export async function routeTenant(resources: RoutingResources, input: RouteInput): Promise<RouteResult> {
  const { pool, tracing } = resources;
  const row = await requireTenant(pool, input.tenant, 'route');
  await countCall(pool, row);
  const configs = await routingConfigs(pool, row);
  const { routing, system } = configs;
  const startedAt = new Date();
  const clock = performance.now();
  const timeoutMs = routing.max_routing_time_ms ?? DEFAULT_ROUTING_MS;
  const open = (strategy: Strategy) => openStrategy(strategy, row.tenant, configs, resources, timeoutMs);
  const askAll = routing.optimization_enabled && Math.random() * ASK_ALL_EVERY < 1;
  const about = {
    'operation.name': 'routing',
    'input.value': input.query,
    ...(input.session === undefined ? {} : { 'session.id': input.session }),
  };
  const { decision, votes, context } = await tracing.traced(
    row,
    'AGENT',
    ROUTING_SPAN,
    about,
    async (span) => {
      const routed = await route(routing, input.query, open, { timeoutMs, askAll });
      span.setAttributes(routingAttributes(input.query, routed.decision, routed.votes));
      return { ...routed, context: span.spanContext() };
    },
  );
  const latencyMs = Math.round((performance.now() - clock) * 100) / 100;

  // As Phoenix will have it; nobody sends one where traces are switched off.
  const sent =
    system.phoenix_enabled && isSpanContextValid(context)
      ? storedIds(row.incarnation, context).spanId
      : undefined;
  await addExperiences(pool, row, routing.experience_buffer_size, [
    {
      spanId: sent ?? randomBytes(8).toString('hex'),
      at: startedAt.toISOString(),
      query: input.query,
      agent: decision.agent,
      confidence: decision.confidence,
      failed: false,
      ballots: votes.map(({ counted: _, latencyMs: __, ...ballot }) => ballot),
    },
  ]);
  const { agent, confidence, route: how } = decision;
  const notAsked = routing.strategies.filter((each) => !votes.some(({ strategy }) => strategy === each));
  return {
    ...{ tenant: row.tenant, agent, confidence, route: how, votes, notAsked },
    ...{ span: sent ?? null, latencyMs },
  };
}

export interface RoutingConfigs {
  readonly routing: RoutingConfig;
  readonly routingVersion: number;
  readonly system: SystemConfig;
  /** Paths of the references in each that an administrator answers for. */
  readonly vouched: { readonly routing: readonly string[]; readonly system: readonly string[] };
}

/** Both configurations that routing and its optimization go by. @throws OpsError `NotFound` */
export async function routingConfigs(
  pool: Pool,
  { tenant, incarnation }: Pick<TenantRow, 'tenant' | 'incarnation'>,
): Promise<RoutingConfigs> {
  const [routing, system] = await Promise.all([
    getConfig(pool, { ...ROUTING_CONFIG, incarnation }),
    getConfig(pool, { ...SYSTEM_CONFIG, incarnation }),
  ]);
  if (routing === undefined || system === undefined)
    throw new OpsError(
      'NotFound',
      `tenant ${tenant} has no ${routing === undefined ? 'routing' : 'system'} configuration`,
      `see what it has with: cvops tenant show ${tenant}`,
    );
  return {
    routing: routing.value as unknown as RoutingConfig,
    routingVersion: routing.version,
    system: system.value as unknown as SystemConfig,
    vouched: { routing: routing.vouched, system: system.vouched },
  };
}

async function openStrategy(
  name: Strategy,
  tenant: TenantId,
  { routing, system, vouched }: RoutingConfigs,
  { allowedPrivate, rules }: RoutingResources,
  timeoutMs: number,
): Promise<RoutingStrategy> {
  const url = routing.strategy_urls?.[name];
  if (url === undefined) return embeddedStrategy(name);
  const token = await readTenantSecret(rules, tenant, {
    ...{ key: ROUTING_CONFIG, config: { value: { ...routing }, vouched: vouched.routing } },
    ...{ path: `strategy_tokens.${name}`, what: `the token of ${name}` },
  });
  return servedStrategy({ name, url, token, model: system.llm_model, timeoutMs, allowedPrivate });
}
