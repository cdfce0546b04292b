import type { Command } from 'commander';
import type { CvopsClient, IngestAgainRequest } from '../client/index.js';
import type { OperationHandle } from '../client/operations.js';
import type { IngestVideosResult } from '../contracts/ingest.js';
import { DEFAULT_CONCURRENT_VIDEOS } from '../domain/config/keys.js';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseOperationId, parseTenantId } from '../domain/ids.js';
import { parseProfile } from '../domain/profiles.js';
import { type WaitOptions, follow, wholeNumber, withClient, withWait } from './context.js';
import { endWith } from './ending.js';
import { answer, table } from './output.js';
import { typedSource } from './source.js';

interface IngestOptions extends WaitOptions {
  readonly profile?: string;
  /** A file that names the videos, in place of a path. */
  readonly list?: string;
  readonly changed?: true;
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
      .description(
        'ingest the *.mp4 files of a folder, or of s3://bucket/prefix, for one tenant; exits 3 when some failed',
      )
      .option('--profile <name>', 'how to index them')
      .option('--list <file>', 'a file that names the videos, one a line or as find -print0 writes them')
      .option('--changed', 'only what is new or looks changed, without reading the rest')
      .option('--concurrency <n>', 'videos in work at once', wholeNumber, DEFAULT_CONCURRENT_VIDEOS)
      .option(
        '--resume [operation]',
        'go on with what a cancelled run has not come to; by default the last one',
      )
      .option('--retry-failed [operation]', 'try again what failed in a former run; by default the last one'),
  ).action(async (id: string, place: string | undefined, options: IngestOptions) => {
    const tenant = parseTenantId(id);
    await withClient(async (client) => {
      const handle = await begin(client, tenant, place, options);
      if (handle !== undefined) await show(client, handle, options);
    });
  });
}

/** @returns undefined for a dry run, which has been answered */
async function begin(
  client: CvopsClient,
  tenant: TenantId,
  place: string | undefined,
  options: IngestOptions,
): Promise<OperationHandle<IngestVideosResult> | undefined> {
  const { concurrency, reason, resume, retryFailed } = options;
  const again = resume ?? retryFailed;
  if (again !== undefined) {
    const { profile, list, changed } = options;
    if ([place, profile, list, changed].some((given) => given !== undefined) || (resume && retryFailed))
      throw new OpsError(
        'InvalidInput',
        '--resume and --retry-failed stand alone: source and profile are those of the former run',
        `cvops ingest ${tenant} --retry-failed`,
      );
    return takeUp(client, options, {
      tenant,
      items: resume === undefined ? 'failed' : 'pending',
      operation: again === true ? undefined : parseOperationId(again),
      concurrency,
      reason,
    });
  }
  const source = sourceOf(place, options.list);
  if (source === undefined || options.profile === undefined)
    throw new OpsError(
      'InvalidInput',
      'what, and how?',
      `cvops ingest ${tenant} PATH --profile P, or --list FILE in place of PATH`,
    );
  const request = {
    tenant,
    profile: parseProfile(options.profile),
    source,
    ...(options.changed ? { onlyChanged: true } : {}),
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

/** @returns undefined for a dry run, which has been answered */
async function takeUp(
  client: CvopsClient,
  { dryRun, output }: IngestOptions,
  request: IngestAgainRequest,
): Promise<OperationHandle<IngestVideosResult> | undefined> {
  if (!dryRun) return client.ingest.again(request);
  const plan = await client.ingest.planAgain(request);
  answer(
    output,
    { dryRun, ...plan },
    () =>
      `${plan.videos} ${plan.items} video(s) of operation ${plan.operation} would be taken up from ${plan.source}`,
  );
  return undefined;
}

/** @returns undefined when neither is given, or both */
function sourceOf(place: string | undefined, list: string | undefined): string | undefined {
  if ((place === undefined) === (list === undefined)) return undefined;
  return list === undefined ? typedSource(place!, false) : typedSource(list, true);
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
  endWith('ingestVideos', result.videos.failed === 0);
}
