import type { Command } from 'commander';
import { parseTenantId } from '../domain/ids.js';
import { parseProfile } from '../domain/profiles.js';
import { DEFAULT_RANKING } from '../domain/ranking.js';
import { type CommonOptions, wholeNumber, withClient, withOutput } from './context.js';
import { answer, note, table } from './output.js';

interface SearchOptions extends CommonOptions {
  readonly profile: string;
  readonly ranking: string;
  readonly topK: number;
  readonly session?: string;
}

export function addSearchCommand(program: Command): void {
  withOutput(
    program
      .command('search <id> <query>')
      .description("search one tenant's videos")
      .requiredOption('--profile <name>', 'the profile they were ingested with')
      .option('--ranking <name>', 'a rank profile of its schema', DEFAULT_RANKING)
      .option('--top-k <n>', 'hits at most', wholeNumber, 10)
      .option('--session <name>', 'groups queries in Phoenix'),
  ).action(async (id: string, query: string, options: SearchOptions) => {
    const tenant = parseTenantId(id);
    const profile = parseProfile(options.profile);
    await withClient(async (client) => {
      const result = await client.search({
        tenant,
        query,
        profile,
        ranking: options.ranking,
        topK: options.topK,
        ...(options.session === undefined ? {} : { session: options.session }),
      });
      if (result.hits.length === 0 && /bm25/.test(options.ranking)) {
        note(
          `${options.ranking} ranks what the words of the query are found in; by likeness alone: --ranking float_float`,
        );
      }
      answer(options.output, result, () =>
        result.hits.length === 0
          ? 'no hits'
          : table(
              ['VIDEO', 'START', 'END', 'SCORE', 'ID'],
              result.hits.map((h) => [
                h.video,
                h.start.toFixed(1),
                h.end.toFixed(1),
                h.score.toFixed(4),
                h.id,
              ]),
            ),
      );
    });
  });
}
