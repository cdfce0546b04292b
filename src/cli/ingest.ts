import path from 'node:path';
import type { Command } from 'commander';
import type { CvopsClient } from '../client/index.js';
import type { OperationHandle } from '../client/operations.js';
import type { IngestVideosResult } from '../contracts/ingest.js';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseOperationId, parseTenantId } from '../domain/ids.js';
import { parseProfile } from '../domain/profiles.js';
import { type WaitOptions, follow, wholeNumber, withClient, withWait } from './context.js';
import { EXIT, ExitWith, answer, table } from './output.js';

interface IngestOptions extends WaitOptions {
  readonly profile?: string;
  readonly concurrency: number;
  /** An operation's id, or true: the last one. */
  readonly resume?: string | true;
  readonly retryFailed?: string | true;
}

/** Failures printed with the answer; the rest is in the ledger (`cvops op show`). */
const SHOWN_FAILURES = 1000;

export function addIngestCommand(program: Command): void {
  withWait(
    program
      .command('ingest <id> [path]')
      .description('ingest the *.mp4 files of a folder for one tenant; exits 3 when some failed')
      .option('--profile <name>', 'how to index them')
      .option('--concurrency <n>', 'videos in work at once', wholeNumber, 4)
      .option(
        '--resume [operation]',
        'go on with what a cancelled run has not come to; by default the last one',
      )
      .option('--retry-failed [operation]', 'try again what failed in a former run; by default the last one'),
  ).action(async (id: string, folder: string | undefined, options: IngestOptions) => {
    const tenant = parseTenantId(id);
    await withClient(async (client) => {
      const handle = await begin(client, tenant, folder, options);
      if (handle !== undefined) await show(client, handle, options);
    });
  });
}

/** @returns undefined for a dry run, which has been answered */
async function begin(
  client: CvopsClient,
  tenant: TenantId,
  folder: string | undefined,
  options: IngestOptions,
): Promise<OperationHandle<IngestVideosResult> | undefined> {
  const { concurrency, reason, resume, retryFailed } = options;
  const again = resume ?? retryFailed;
  if (again !== undefined) {
    if (folder !== undefined || options.profile !== undefined || (resume && retryFailed) || options.dryRun)
      throw new OpsError(
        'InvalidInput',
        '--resume and --retry-failed stand alone: folder and profile are those of the former run',
        `cvops ingest ${tenant} --retry-failed`,
      );
    return client.ingest.again({
      tenant,
      items: resume === undefined ? 'failed' : 'pending',
      operation: again === true ? undefined : parseOperationId(again),
      concurrency,
      reason,
    });
  }
  if (folder === undefined || options.profile === undefined)
    throw new OpsError('InvalidInput', 'what, and how?', `cvops ingest ${tenant} PATH --profile P`);
  const request = {
    tenant,
    profile: parseProfile(options.profile),
    source: path.resolve(folder),
    concurrency,
    reason,
  };
  if (!options.dryRun) return client.ingest.start(request);
  const plan = await client.ingest.plan(request);
  answer(
    options.output,
    { dryRun: true, ...plan },
    () => `${plan.videos} video(s) would be ingested into ${plan.schema}`,
  );
  return undefined;
}

async function show(
  client: CvopsClient,
  handle: OperationHandle<IngestVideosResult>,
  options: IngestOptions,
): Promise<void> {
  const result = await follow(handle, options);
  if (!result) {
    answer(
      options.output,
      { operation: handle.operation },
      () => `ingesting, as operation ${handle.operation}`,
    );
    return;
  }
  const failures = await client.ingest.failures(handle.operation, SHOWN_FAILURES);
  answer(options.output, { ...result, failures }, () => {
    const { stored, unchanged, failed } = result.videos;
    const summary = `${stored} stored, ${unchanged} unchanged, ${failed} failed; ${result.documents} documents`;
    return failures.length === 0
      ? summary
      : `${table(
          ['VIDEO', 'REASON'],
          failures.map((f) => [f.video, f.reason]),
        )}\n${summary}`;
  });
  if (result.videos.failed > 0) throw new ExitWith(EXIT.partly);
}
