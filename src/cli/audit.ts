import type { Command } from 'commander';
import type { AuditHead, AuditRow, AuditVerdict } from '../client/audit.js';
import { parseAuditHead } from '../domain/auditHead.js';
import { parseTenantId } from '../domain/ids.js';
import { parseTime } from '../domain/times.js';
import { verifyAuditFile } from '../registry/auditFile.js';
import { type CommonOptions, wholeNumber, withClient, withOutput } from './context.js';
import { EXIT, ExitWith, answer, table } from './output.js';
import { localPath } from './localPath.js';

interface ListOptions extends CommonOptions {
  readonly tenant?: string;
  readonly verb?: string;
  readonly since?: Date;
  readonly before?: number;
  readonly limit: number;
}

interface VerifyOptions extends CommonOptions {
  readonly head?: AuditHead;
  readonly file?: string;
}

export function addAuditCommands(program: Command): void {
  const audit = program.command('audit').description('who did what, when, why and with which outcome');

  withOutput(
    audit
      .command('list')
      .description('newest first')
      .option('--tenant <id>')
      .option('--verb <verb>', 'such as create, configure, watch-add')
      .option('--since <time>', 'at or after it, such as 2026-11-01 or 2026-11-01T12:00Z', parseTime)
      .option('--before <seq>', 'older than this row: the last one of the page before', wholeNumber)
      .option('--limit <n>', 'rows at most', wholeNumber, 50),
  ).action(async ({ tenant: id, output, ...filter }: ListOptions) => {
    const tenant = id === undefined ? undefined : parseTenantId(id);
    await withClient(async (client) => {
      const entries: AuditRow[] = [];
      for await (const row of client.audit.list({ ...filter, tenant })) entries.push(row);
      answer(output, { ok: true, entries }, () =>
        table(['SEQ', 'AT', 'BY', 'VERB', 'TENANT', 'OUTCOME', 'REASON'], entries.map(cells)),
      );
    });
  });

  withOutput(
    audit
      .command('verify')
      .description('compute the whole chain of hashes again; exits 8 when it is broken')
      .option('--head <seq:hash>', 'a head noted before, which must still be in it', parseAuditHead)
      .option('--file <file>', 'an export, instead of the registry'),
  ).action(async ({ head, file, output }: VerifyOptions) => {
    const verdict =
      file === undefined
        ? await withClient((client) => client.audit.verify(head))
        : await verifyAuditFile(localPath(file), head);
    const shown = asJson(verdict);
    answer(output, shown, () =>
      shown.ok ? `whole: ${shown.rows} rows, head ${shown.head}` : `broken: ${shown.problem}`,
    );
    if (!shown.ok) throw new ExitWith(EXIT.verification);
  });

  withOutput(
    audit
      .command('export <file>')
      .description('write all of it with its hashes, a JSON line a row; audit verify --file proves it'),
  ).action(async (file: string, { output }: CommonOptions) => {
    await withClient(async (client) => {
      const { seq, hash } = await client.audit.export(localPath(file));
      const head = `${seq}:${hash}`;
      answer(output, { file, rows: seq, head }, () => `${seq} rows written to ${file}, head ${head}`);
    });
  });
}

function asJson({ rows, head, brokenAt, problem }: AuditVerdict) {
  const good = brokenAt === undefined ? rows : Math.min(rows, brokenAt - 1);
  return {
    ok: brokenAt === undefined,
    rows,
    /** Of the last good row: note it elsewhere. */
    head: `${Math.max(0, good)}:${head}`,
    brokenAt: brokenAt ?? null,
    problem: problem ?? null,
  };
}

function cells({ seq, at, principal, verb, tenant, outcome, reason }: AuditRow): (string | number)[] {
  return [seq, at, principal, verb, tenant, outcome, reason];
}
