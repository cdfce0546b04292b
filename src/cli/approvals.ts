import type { Command } from 'commander';
import { GUARDED, parseGuardedVerb } from '../domain/approvals.js';
import { OpsError } from '../domain/errors.js';
import { parseOperationId, parseTenantId } from '../domain/ids.js';
import type { ApprovalRow } from '../registry/approvals.js';
import {
  type ChangeOptions,
  type CommonOptions,
  wholeNumber,
  withChange,
  withClient,
  withOutput,
} from './context.js';
import { answer, table } from './output.js';

interface ListOptions extends CommonOptions {
  readonly tenant?: string;
  readonly all: boolean;
  readonly limit: number;
}

interface PolicyOptions extends ChangeOptions {
  readonly tenant?: string;
  readonly require: boolean;
  readonly waive: boolean;
}

export function addApprovalCommands(program: Command): void {
  const approval = program.command('approval').description('what needs a second administrator');

  withOutput(
    approval
      .command('list')
      .description('what waits for one')
      .option('--tenant <id>')
      .option('--all', 'what has been decided as well', false)
      .option('--limit <n>', 'rows at most', wholeNumber, 100),
  ).action(async ({ tenant: given, all, limit, output }: ListOptions) => {
    const tenant = given === undefined ? undefined : parseTenantId(given);
    await withClient(async (client) => {
      const approvals = await client.approvals.list(tenant, { all, limit });
      answer(output, { approvals }, () =>
        table(
          ['OPERATION', 'TENANT', 'VERB', 'WHAT', 'ASKED BY', 'STATE', 'UNTIL', 'REASON'],
          approvals.map((row) => [
            ...[row.operation, row.tenant, row.verb, what(row), row.askedBy],
            ...[
              row.decidedBy === null ? row.state : `${row.state} by ${row.decidedBy}`,
              row.expiresAt,
              row.reason,
            ],
          ]),
        ),
      );
    });
  });

  addDecision(approval, 'grant', 'agree to what another one has asked for; it goes on at once');
  addDecision(approval, 'refuse', 'refuse it; of who has asked, take it back');

  withChange(
    approval
      .command('policy [verb]')
      .description(`which verbs need one: ${Object.keys(GUARDED).join(', ')}`)
      .option('--require', 'from now on the verb needs one', false)
      .option('--waive', 'it needs none any more: done once a second administrator says the same', false)
      .option('--tenant <id>', 'of this one; left out: of every tenant'),
  ).action(async (given: string | undefined, options: PolicyOptions) => {
    const { require: required, waive, reason, dryRun, output } = options;
    const of = options.tenant === undefined ? '*' : parseTenantId(options.tenant);
    if (given === undefined ? required || waive : required === waive)
      throw new OpsError(
        'InvalidInput',
        'a verb goes with one of --require and --waive',
        'all policies are shown without a verb',
      );
    const verb = given === undefined ? undefined : parseGuardedVerb(given);
    await withClient(async (client) => {
      if (verb === undefined) {
        const policies = await client.approvals.policies();
        answer(output, { policies }, () =>
          table(
            ['VERB', 'TENANT', 'NEEDS A SECOND ONE', 'FOR'],
            policies.map((row) => [row.verb, row.tenant, state(row), row.what]),
          ),
        );
        return;
      }
      const done = await (required
        ? client.approvals.require(verb, of, reason, dryRun)
        : client.approvals.waive(verb, of, reason, dryRun));
      answer(output, { ...(dryRun ? { dryRun } : {}), ...done }, () => {
        if (done.state === 'proposed')
          return `${verb}: ${dryRun ? 'would be ' : ''}still needed, until a second administrator waives it as well`;
        const needed = done.state === 'required' ? 'needed' : 'not needed any more';
        return `${verb}: a second administrator ${dryRun ? 'would be' : 'is'} ${needed}`;
      });
    });
  });
}

/** What exactly is agreed to. */
function what({ request }: Pick<ApprovalRow, 'request'>): string {
  const beside = ['tenant', 'incarnation', 'operation', 'principal', 'reason'];
  return Object.entries(request)
    .filter(([name]) => !beside.includes(name))
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');
}

function addDecision(approval: Command, verb: 'grant' | 'refuse', description: string): void {
  withChange(approval.command(`${verb} <operation>`).description(description)).action(
    async (id: string, { output, reason, dryRun }: ChangeOptions) => {
      const operation = parseOperationId(id);
      await withClient(async (client) => {
        if (dryRun) {
          const plan = await client.approvals.plan(operation, verb === 'grant');
          const what = `${plan.verb} of ${plan.tenant}, asked for by ${plan.askedBy}`;
          return answer(output, { dryRun, ...plan }, () => `${what}, would be ${plan.state}`);
        }
        const done = await client.approvals[verb](operation, reason);
        answer(output, done, () => `operation ${done.operation} is ${done.state}`);
      });
    },
  );
}

function state({
  required,
  waiverBy,
}: {
  readonly required: boolean;
  readonly waiverBy: string | null;
}): string {
  if (!required) return 'no';
  return waiverBy === null ? 'yes' : `yes (${waiverBy} would waive it)`;
}
