import { randomBytes } from 'node:crypto';
import { decide } from '../../src/domain/routing.js';
import type { Sample } from '../../src/optimize/learn.js';
import { type PhoenixClient, requireStatus } from '../../src/phoenix/client.js';
import { ROUTING_SPAN, routingAttributes } from '../../src/routing/span.js';
import type { DecisionRule } from '../../src/domain/routing.js';

export interface SentSpan {
  readonly spanId: string;
  readonly sample: Sample;
}

/** Decisions of another program's router, as spans in the form that Phoenix takes. */
export function routingSpans(
  tenant: string,
  rule: DecisionRule,
  samples: readonly Sample[],
  startedAt: (i: number) => number = (i) => Date.now() - 60_000 + i,
) {
  return samples.map((sample, i) => {
    const decision = decide(rule, sample.ballots);
    const votes = sample.ballots.map((ballot) => ({
      ...ballot,
      counted: decision.counted.includes(ballot.strategy),
      latencyMs: 1,
    }));
    const at = new Date(startedAt(i)).toISOString();
    return {
      name: ROUTING_SPAN,
      context: { trace_id: randomBytes(16).toString('hex'), span_id: randomBytes(8).toString('hex') },
      span_kind: 'AGENT',
      parent_id: null,
      start_time: at,
      end_time: at,
      status_code: 'OK',
      status_message: '',
      attributes: {
        tenant_id: tenant,
        'operation.name': 'routing',
        'input.value': sample.key,
        ...routingAttributes(sample.key, decision, votes),
      },
      events: [],
    };
  });
}

/** Sends spans, and waits until Phoenix has stored them. */
export async function sendSpans(
  phoenix: PhoenixClient,
  project: string,
  spans: ReturnType<typeof routingSpans>,
): Promise<void> {
  requireStatus(await phoenix.send('POST', `/v1/projects/${project}/spans`, { data: spans }), 202);
}

/** What a person says in Phoenix. */
export async function annotateByHand(
  phoenix: PhoenixClient,
  labels: readonly { readonly spanId: string; readonly label: string }[],
): Promise<void> {
  const data = labels.map(({ spanId, label }) => ({
    ...{ span_id: spanId, name: 'routing_annotation', annotator_kind: 'HUMAN', identifier: '' },
    result: { label, score: null, explanation: null },
  }));
  requireStatus(await phoenix.send('POST', '/v1/span_annotations?sync=true', { data }), 200);
}
