import type { Strategy } from '../../domain/config/keys.js';
import { AGENTS, type Agent } from '../../domain/routing.js';
import type { Answer, RoutingStrategy } from './port.js';

/**
 * Stand-ins for served models: deterministic, quick, and of three different minds, so that an ensemble of them has
 * something to decide. They know English words only and make no claim beyond that.
 */
export function embeddedStrategy(name: Strategy): RoutingStrategy {
  return { name, ask: async (query) => MINDS[name](query.toLowerCase()) };
}

const MINDS: Readonly<Record<Strategy, (query: string) => Answer>> = {
  gliner: byEntities,
  llm: byIntent,
  langextract: byExtraction,
};

/** Words that name what is wanted, as an entity recognizer would mark them. */
const ENTITIES: Readonly<Record<Agent, ReadonlySet<string>>> = {
  video_search_agent: words(
    'video videos clip clips scene scenes moment moments frame frames footage find show search where when',
  ),
  summarizer_agent: words('summary summaries summarize summarise overview gist tldr recap brief highlights'),
  detailed_report_agent: words(
    'report reports analysis analyze analyse detailed depth comprehensive evidence',
  ),
};

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(' '));
}

function byEntities(query: string): Answer {
  const counts = new Map<Agent, number>();
  for (const word of query.match(/[a-z]+/g) ?? [])
    for (const agent of AGENTS)
      if (ENTITIES[agent].has(word)) counts.set(agent, (counts.get(agent) ?? 0) + 1);
  const total = [...counts.values()].reduce((sum, n) => sum + n, 0);
  if (total === 0) return { outcome: 'abstained' };
  const [agent, most] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a));
  return voted(agent, (most / total) * (1 - 0.4 / (most + 1)));
}

/** What the query as a whole asks for, the most specific wish first. */
const INTENTS: readonly (readonly [RegExp, Agent, number])[] = [
  [
    /\b(detailed|full|comprehensive|in-depth)\b.*\b(report|analysis|account)\b/,
    'detailed_report_agent',
    0.95,
  ],
  [/\b(write|prepare|draft|compile)\b.*\breport\b/, 'detailed_report_agent', 0.9],
  [/\banaly[sz]e\b|\bcompare\b|\bexplain\b.*\b(why|how)\b/, 'detailed_report_agent', 0.7],
  [/\b(summari[sz]e|summary|recap|tl;?dr|overview)\b/, 'summarizer_agent', 0.9],
  [/\bwhat (is|are|was|were|happens|happened)\b/, 'summarizer_agent', 0.55],
  [/^(find|show|search|locate|get|list)\b/, 'video_search_agent', 0.9],
  [/\b(video|clip|scene|footage|where|when)\b/, 'video_search_agent', 0.75],
];

function byIntent(query: string): Answer {
  const found = INTENTS.find(([pattern]) => pattern.test(query));
  // A bare description of something to be seen is a search.
  return found === undefined ? voted('video_search_agent', 0.6) : voted(found[1], found[2]);
}

/** The thing that the wish's verb or noun takes: `report on X`, `summary of X`, `videos of X`. */
const EXTRACTIONS: readonly (readonly [RegExp, Agent])[] = [
  [/\b(report|analysis)\s+(on|of|about|into)\s+\S/, 'detailed_report_agent'],
  [/\b(summary|overview|recap|gist)\s+(of|for|about)\s+\S/, 'summarizer_agent'],
  [
    /\b(videos?|clips?|scenes?|moments?|footage|frames?)\s+(of|with|where|showing|about|in)\s+\S/,
    'video_search_agent',
  ],
];

function byExtraction(query: string): Answer {
  const found = EXTRACTIONS.filter(([pattern]) => pattern.test(query));
  if (found.length === 0) return { outcome: 'abstained' };
  return voted(found[0]![1], found.length === 1 ? 0.8 : 0.55);
}

function voted(agent: Agent, confidence: number): Answer {
  return { outcome: 'voted', agent, confidence: Math.round(confidence * 1000) / 1000 };
}
