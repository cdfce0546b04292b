import type { CvopsClient } from '../client/index.js';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseTenantId } from '../domain/ids.js';
import { note } from './output.js';

/** The same user and agent in both: what keeps them apart is the tenant alone. */
const SCOPE = { userId: 'user123', agentId: 'video_search_agent' };
const MEMORIES = [
  { id: 'acme_corp', text: 'User prefers technical tutorials' },
  { id: 'globex_inc', text: 'User prefers short clips with subtitles' },
] as const;
const QUERY = 'What does the user prefer?';

export interface RememberedReport {
  readonly tenant: TenantId;
  readonly memory: string;
  readonly found: string;
  readonly score: number;
}

/** Each tenant remembers something; again it is there already. */
export async function remember(client: CvopsClient): Promise<RememberedReport[]> {
  for (const { id, text } of MEMORIES) {
    const tenant = parseTenantId(id);
    const [added] = await client.memory.add({ tenant, text, ...SCOPE, key: 'demo' });
    note(`${tenant}: remembers "${text}"${added?.event === 'NONE' ? ', from a former run' : ''}`);
  }
  return recall(client);
}

/** Each finds its own memory and nothing of the other's. @throws OpsError `VerificationFailed` */
export async function recall(client: CvopsClient): Promise<RememberedReport[]> {
  const reports: RememberedReport[] = [];
  for (const { id, text } of MEMORIES) {
    const tenant = parseTenantId(id);
    const found = await client.memory.search({ tenant, query: QUERY, ...SCOPE, topK: 10 });
    const [best] = found;
    if (best === undefined || found.some(({ memory }) => memory !== text))
      throw new OpsError('VerificationFailed', `${tenant} does not find its own memory, or another's`);
    const { id: memory, score = 0 } = best;
    note(`${tenant}: "${QUERY}": "${best.memory}" (${score.toFixed(3)}), and nothing of the other tenant's`);
    reports.push({ tenant, memory, found: best.memory, score });
  }
  return reports;
}
