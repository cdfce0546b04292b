import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { ConfigTarget, ConfigWriteWhat, ConfigWritten } from '../client/config.js';
import type { ConfigChange } from '../domain/config/diff.js';
import { isRecord } from '../domain/config/fields.js';
import { ROUTING_CONFIG, SYSTEM_CONFIG, TRACE_RETENTION, placeName } from '../domain/config/keys.js';
import { OpsError } from '../domain/errors.js';
import { parseTenantId } from '../domain/ids.js';
import { type CommonOptions, wholeNumber, withClient, withOutput } from './context.js';
import { answer, table } from './output.js';

interface PlaceOptions extends CommonOptions {
  readonly scope: string;
  readonly service: string;
  readonly key: string;
  readonly routing: boolean;
  readonly traceRetention: boolean;
}

interface WriteOptions extends PlaceOptions {
  readonly expectVersion?: number;
  readonly reason: string;
  readonly dryRun: boolean;
}

interface SetOptions extends WriteOptions {
  readonly set: Record<string, string>;
  readonly unset: string[];
  readonly json?: string;
}

export function addConfigCommands(program: Command): void {
  const config = program.command('config').description('configuration of a tenant, every version of it');

  withPlace(config.command('get <id>').description('the latest version, or the one asked for'))
    .option('--version <n>', 'this version', wholeNumber)
    .action(async (id: string, options: PlaceOptions & { version?: number }) => {
      const at = placeOf(id, options);
      await withClient(async (client) => {
        const { version, value, author, reason, createdAt } = await client.config.get(at, options.version);
        answer(options.output, { ...at, version, value, author, reason, createdAt }, () =>
          [
            `${placeName(at)} of ${at.tenant}, version ${version} by ${author} at ${createdAt}`,
            table(
              ['FIELD', 'VALUE'],
              Object.entries(value).map(([field, v]) => [field, shown(v)]),
            ),
          ].join('\n'),
        );
      });
    });

  withWrite(
    config.command('set <id>').description('write a new version: edits of the latest, or a whole value'),
  )
    .option(
      '--set <field=value>',
      'may be repeated; lists by commas; confidence_thresholds.llm=0.6 sets one entry',
      collectField,
      {},
    )
    .option('--unset <field>', 'take an optional field out; may be repeated', collect, [])
    .option('--json <json>', 'the whole value instead: JSON, or @file')
    .action(async (id: string, options: SetOptions) => {
      await write(placeOf(id, options), whatToSet(options), options);
    });

  withPlace(config.command('history <id>').description('all versions, newest first'))
    .option('--limit <n>', 'versions at most; all when not given', wholeNumber)
    .option('--before <version>', 'only versions before this one', wholeNumber)
    .action(async (id: string, options: PlaceOptions & { limit?: number; before?: number }) => {
      const at = placeOf(id, options);
      await withClient(async (client) => {
        const { limit, before } = options;
        const found = await client.config.history(at, { limit, before });
        const versions = found.map(({ version, value, author, reason, createdAt }) => ({
          version,
          author,
          reason,
          createdAt,
          value,
        }));
        answer(options.output, { ...at, versions }, () =>
          table(
            ['VERSION', 'AUTHOR', 'AT', 'REASON'],
            versions.map((v) => [v.version, v.author, v.createdAt, v.reason]),
          ),
        );
      });
    });

  withPlace(config.command('diff <id>').description('what changed between two versions'))
    .option('--from <version>', 'the one before --to when not given', wholeNumber)
    .option('--to <version>', 'the latest when not given', wholeNumber)
    .action(async (id: string, options: PlaceOptions & { from?: number; to?: number }) => {
      const at = placeOf(id, options);
      await withClient(async (client) => {
        const diff = await client.config.diff(at, options.from, options.to);
        answer(options.output, { ...at, ...diff }, () =>
          [
            `${placeName(at)} of ${at.tenant}, version ${diff.from} to ${diff.to}`,
            changeTable(diff.changes),
          ].join('\n'),
        );
      });
    });

  withWrite(config.command('rollback <id>').description('write a former version again, as a new one'))
    .requiredOption('--version <n>', 'the version to go back to', wholeNumber)
    .action(async (id: string, options: WriteOptions & { version: number }) => {
      await write(placeOf(id, options), { kind: 'rollback', to: options.version }, options);
    });
}

async function write(at: ConfigTarget, what: ConfigWriteWhat, options: WriteOptions): Promise<void> {
  const { expectVersion, reason, dryRun, output } = options;
  await withClient(async (client) => {
    const written = await client.config.write({ at, what, expectVersion, reason, dryRun });
    answer(output, { ...(dryRun ? { dryRun } : {}), ...at, ...asJson(written) }, () =>
      [
        `${placeName(at)} of ${at.tenant} ${dryRun ? 'would be' : 'is'} at version ${written.version}`,
        changeTable(written.changes),
      ].join('\n'),
    );
  });
}

const asJson = ({ version, value, from, changes }: ConfigWritten) => ({
  version,
  value,
  from,
  to: version,
  changes,
});

function withPlace(command: Command): Command {
  return withOutput(command)
    .option('--scope <scope>', 'scope', SYSTEM_CONFIG.scope)
    .option('--service <service>', 'service', SYSTEM_CONFIG.service)
    .option('--key <key>', 'key', SYSTEM_CONFIG.key)
    .option('--routing', `short for ${placeName(ROUTING_CONFIG)}`, false)
    .option('--trace-retention', `short for ${placeName(TRACE_RETENTION)}`, false);
}

function withWrite(command: Command): Command {
  return withPlace(command)
    .option('--expect-version <n>', 'write only if this is the latest version', wholeNumber)
    .option('--reason <text>', 'why, for the history and the audit log', '')
    .option('--dry-run', 'print what would change, do nothing', false);
}

/** The client checks the texts. */
function placeOf(id: string, options: PlaceOptions): ConfigTarget {
  const { scope, service, key } = options.routing
    ? ROUTING_CONFIG
    : options.traceRetention
      ? TRACE_RETENTION
      : options;
  return { tenant: parseTenantId(id), scope: scope as ConfigTarget['scope'], service, key };
}

function whatToSet({ set, unset, json }: SetOptions): ConfigWriteWhat {
  const edits = Object.keys(set).length + unset.length;
  if (json === undefined && edits > 0) return { kind: 'edits', edits: { set, unset } };
  if (json !== undefined && edits === 0) return { kind: 'value', value: readJson(json) };
  throw new OpsError(
    'InvalidInput',
    json === undefined ? 'nothing to set' : '--json is the whole value: it goes with no --set or --unset',
    'give --set field=value, --unset field, or --json JSON',
  );
}

/** What the parser says of a bad text quotes it, and it may hold a secret: none of it is passed on. */
function readJson(given: string): Readonly<Record<string, unknown>> {
  const file = given.startsWith('@') ? given.slice(1) : undefined;
  const value = parse(file === undefined ? given : readFile(file));
  if (isRecord(value)) return value;
  throw new OpsError(
    'InvalidInput',
    `${file === undefined ? '--json' : file} is no JSON object`,
    'give {"field": value, …}, or @FILE with one in it',
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new OpsError('InvalidInput', `cannot read ${file}: ${code ?? 'unknown error'}`);
  }
}

/** Not repeated in the error: it may hold a secret. */
function collectField(text: string, fields: Record<string, string>): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1)
    throw new OpsError('InvalidInput', 'a --set is not field=value', 'for example --set max_qps=20');
  return Object.fromEntries([...Object.entries(fields), [text.slice(0, at), text.slice(at + 1)]]);
}

function collect(text: string, list: readonly string[]): string[] {
  return [...list, text];
}

function changeTable(changes: readonly ConfigChange[]): string {
  if (changes.length === 0) return 'nothing changes';
  return table(
    ['FIELD', 'FROM', 'TO'],
    changes.map(({ path, from, to }) => [path, shown(from), shown(to)]),
  );
}

function shown(value: unknown): string {
  if (value === undefined) return '–';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
