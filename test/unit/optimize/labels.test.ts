import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  OPTIMIZATIONS,
  labelOf,
  outcomeOf,
  reviewPriority,
  searchScore,
  slotOffset,
  INTERVAL_SECONDS,
} from '../../../src/domain/optimization.js';
import { readRoutingSpan, routingAttributes } from '../../../src/routing/span.js';
import { decide } from '../../../src/domain/routing.js';
import { RUNNING, noise } from '../../support/routingSamples.js';

const at = (updatedAt: string) => ({ updatedAt });

test('a person’s label wins over a model’s, that over a program’s; of equal rank the newest', () => {
  const code = { kind: 'CODE', label: 'ambiguous', ...at('9') } as const;
  const llm = { kind: 'LLM', label: 'wrong_routing', agent: 'summarizer_agent', ...at('8') } as const;
  const human = { kind: 'HUMAN', label: 'correct_routing', ...at('1') } as const;
  const newer = { kind: 'HUMAN', label: 'detailed_report_agent', ...at('2') } as const;
  const chosen = 'video_search_agent';
  expect(labelOf(chosen, [code])).toEqual({ kind: 'CODE', label: 'ambiguous', expected: null });
  expect(labelOf(chosen, [llm, code])).toEqual({
    ...{ kind: 'LLM', label: 'wrong_routing', expected: 'summarizer_agent' },
  });
  expect(labelOf(chosen, [human, llm, code])).toEqual({
    kind: 'HUMAN',
    label: 'correct_routing',
    expected: chosen,
  });
  for (const order of [
    [human, newer, llm],
    [newer, llm, human],
  ])
    expect(labelOf(chosen, order)).toEqual({
      ...{ kind: 'HUMAN', label: 'wrong_routing', expected: 'detailed_report_agent' },
    });
});

test('what is no label says nothing, whoever wrote it', () => {
  const llm = { kind: 'LLM', label: 'failed', ...at('1') } as const;
  const human = { kind: 'HUMAN', label: 'good', ...at('2') } as const;
  expect(labelOf('summarizer_agent', [llm, human, { ...human, label: null }])).toBeUndefined();
  const wrong = { kind: 'HUMAN', label: 'wrong_routing', agent: 'summarizer_agent', ...at('3') } as const;
  expect(labelOf('summarizer_agent', [wrong])).toMatchObject({ label: 'wrong_routing', expected: null });
});

test.each([
  ['failure', 0.59, 'high'],
  ['failure', 0.6, 'medium'],
  ['success', 0.29, 'high'],
  ['ambiguous', 0.9, 'medium'],
  ['success', 0.59, 'medium'],
  ['success', 0.6, 'low'],
  ['success', 0.75, 'low'],
  ['success', 0.76, undefined],
] as const)('%s with confidence %d needs a look: %s', (outcome, confidence, priority) => {
  expect(reviewPriority(outcome, confidence)).toBe(priority);
});

test('a routing that fell back or was split is ambiguous; a search is as good as what it found', () => {
  expect(outcomeOf({ failed: true, confidence: 1, split: false })).toBe('failure');
  expect(outcomeOf({ failed: false, confidence: 0, split: false })).toBe('ambiguous');
  expect(outcomeOf({ failed: false, confidence: 0.9, split: true })).toBe('ambiguous');
  expect(outcomeOf({ failed: false, confidence: 0.9, split: false })).toBe('success');
  expect([0, 1, 5].map((results) => searchScore({ failed: false, results }))).toEqual([0.7, 0.8, 0.9]);
  expect(searchScore({ failed: true, results: 9 })).toBe(0.1);
});

test('a slot’s times lie within the interval, and those of many slots apart', () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.constantFrom(...OPTIMIZATIONS), (slot, what) => {
      const offset = slotOffset(slot, what);
      expect(Number.isInteger(offset) && offset >= 0 && offset < INTERVAL_SECONDS[what]).toBe(true);
    }),
  );
  const offsets = Array.from({ length: 100 }, (_, slot) => slotOffset(slot, 'evaluate')).toSorted(
    (a, b) => a - b,
  );
  const near = offsets.map((from) => offsets.filter((o) => o >= from && o < from + 10).length);
  expect(Math.max(...near)).toBeLessThanOrEqual(2);
});

test('a decision is read back from its span as it was made; a span that does not tell is none', () => {
  for (const { ballots, key } of noise(1, 50)) {
    const decision = decide(RUNNING, ballots);
    const votes = ballots.map((each) => ({
      ...each,
      counted: decision.counted.includes(each.strategy),
      latencyMs: 1,
    }));
    const attributes = routingAttributes(key, decision, votes);
    const { agent, confidence } = decision;
    expect(readRoutingSpan(attributes)).toMatchObject({ query: key, agent, confidence, ballots });
    expect(readRoutingSpan({ ...attributes, 'routing.chosen_agent': 'root' })).toBeUndefined();
    expect(readRoutingSpan({ ...attributes, 'routing.confidence': 7 })).toBeUndefined();
  }
});
