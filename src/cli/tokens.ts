import { type Command, Option } from 'commander';
import { CvopsClient } from '../client/index.js';
import { ROLES, type Role } from '../domain/access.js';
import { parseTenantId } from '../domain/ids.js';
import { formatEvery, parseEvery } from '../domain/watches.js';
import { loadSettings } from '../settings.js';
import { type ChangeOptions, type CommonOptions, withChange, withClient, withOutput } from './context.js';
import { answer, note, table } from './output.js';

const DEFAULT_LIFE = '30d';

interface IssueOptions extends ChangeOptions {
  readonly role: Role;
  readonly tenant?: string;
  readonly subject?: string;
  readonly ttl: string;
}

export function addTokenCommands(program: Command): void {
  const token = program.command('token').description('tokens that say who asks: roles and tenants');

  withChange(
    token
      .command('issue')
      .description('a token for CVOPS_TOKEN; it is shown this once')
      .addOption(new Option('--role <role>', 'what it may do').choices(ROLES).makeOptionMandatory())
      .option('--tenant <id>', 'whose: of a reader and an operator')
      .option('--subject <name>', 'who bears it, for the audit log; the role, and the tenant, by default')
      .option('--ttl <time>', 'how long it is good: 12h, 30d', DEFAULT_LIFE),
  ).action(async ({ role, ttl, output, reason, dryRun, ...options }: IssueOptions) => {
    const tenant = options.tenant === undefined ? undefined : parseTenantId(options.tenant);
    const subject = options.subject ?? (tenant === undefined ? role : `${role}/${tenant}`);
    const lifeSeconds = parseEvery(ttl);
    // Whoever has the signing key may issue: the first one is issued before there is any other.
    await asIssuer(async (client) => {
      const request = { role, tenant, subject, lifeSeconds, reason };
      const what = `${role}${tenant ? ` of ${tenant}` : ''}, for ${formatEvery(lifeSeconds)}`;
      if (dryRun) {
        const plan = await client.tokens.plan(request);
        return answer(output, { dryRun, ...plan }, () => `would issue a token to ${subject}: ${what}`);
      }
      const issued = await client.tokens.issue(request);
      answer(output, issued, () => issued.token);
      if (output === 'table') note(`${issued.id}: ${what}`);
    });
  });

  withOutput(token.command('list').description('which were issued, without the tokens')).action(
    async ({ output }: CommonOptions) => {
      await withClient(async (client) => {
        const tokens = await client.tokens.list();
        answer(output, { tokens }, () =>
          table(
            ['ID', 'SUBJECT', 'ROLE', 'TENANT', 'EXPIRES', 'REVOKED'],
            tokens.map((t) => [
              ...[t.id, t.subject, t.role, t.tenant ?? 'all'],
              ...[t.expiresAt, t.revokedAt ?? '-'],
            ]),
          ),
        );
      });
    },
  );

  withChange(token.command('revoke <id>').description('refuse a token from now on, wherever it is')).action(
    async (id: string, { output, reason, dryRun }: ChangeOptions) => {
      await withClient(async (client) => {
        const revoked = await client.tokens.revoke(id, reason, dryRun);
        answer(
          output,
          { ...(dryRun ? { dryRun } : {}), ...revoked },
          () => `${revoked.id} of ${revoked.subject} ${dryRun ? 'would be' : 'is'} revoked`,
        );
      });
    },
  );

  withChange(
    token
      .command('rotate-key')
      .description('sign with a new key; what the former ones signed is still believed'),
  ).action(async ({ output, reason, dryRun }: ChangeOptions) => {
    await asIssuer(async (client) => {
      if (dryRun) {
        const plan = await client.tokens.planRotation();
        const others = `${plan.keys.length} other(s) are believed: ${plan.keys.join(', ')}`;
        return answer(output, { dryRun, ...plan }, () => `would sign with a new key, beside which ${others}`);
      }
      const rotated = await client.tokens.rotateKey(reason);
      answer(output, rotated, () => `signs with ${rotated.kid}; believed: ${rotated.keys.join(', ')}`);
    });
  });
}

async function asIssuer(work: (client: CvopsClient) => Promise<void>): Promise<void> {
  const client = await CvopsClient.connectAsIssuer(loadSettings());
  try {
    await work(client);
  } finally {
    await client.close();
  }
}
