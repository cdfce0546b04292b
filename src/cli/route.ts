import type { Command } from 'commander';
import type { Vote } from '../contracts/routing.js';
import { parseTenantId } from '../domain/ids.js';
import { type CommonOptions, withClient, withOutput } from './context.js';
import { answer, table } from './output.js';

export function addRouteCommand(program: Command): void {
  withOutput(
    program
      .command('route <id> <query>')
      .description('which agent a query of a tenant goes to, and how sure the router is')
      .option('--session <name>', 'groups queries in Phoenix'),
  ).action(async (id: string, query: string, options: CommonOptions & { session?: string }) => {
    const tenant = parseTenantId(id);
    const { session } = options;
    await withClient(async (client) => {
      const routed = await client.routing.route({ tenant, query, ...(session ? { session } : {}) });
      const { agent, confidence, route, votes } = routed;
      answer(options.output, routed, () =>
        [
          `${agent}, confidence ${confidence.toFixed(2)} (${route})`,
          table(
            ['STRATEGY', 'VOTE', 'CONFIDENCE', 'COUNTED', 'MS'],
            votes.map((vote) => [...voteText(vote), vote.counted ? 'yes' : 'no', vote.latencyMs.toFixed(1)]),
          ),
        ].join('\n'),
      );
    });
  });
}

function voteText(vote: Vote): [strategy: string, vote: string, confidence: string] {
  switch (vote.outcome) {
    case 'voted':
      return [vote.strategy, vote.agent, vote.confidence.toFixed(2)];
    case 'abstained':
      return [vote.strategy, 'none', '-'];
    case 'failed':
      return [vote.strategy, `failed: ${vote.reason}`, '-'];
  }
}
