import path from 'node:path';
import type { Command } from 'commander';
import { parseTenantId } from '../domain/ids.js';
import { parseProfile } from '../domain/profiles.js';
import { type WaitOptions, follow, wholeNumber, withClient, withWait } from './context.js';
import { EXIT, ExitWith, answer, table } from './output.js';

interface IngestOptions extends WaitOptions {
  readonly profile: string;
  readonly concurrency: number;
}

/** Failures printed with the answer; the rest is in the ledger (`cvops op show`). */
const SHOWN_FAILURES = 1000;

export function addIngestCommand(program: Command): void {
  withWait(
    program
      .command('ingest <id> <path>')
      .description('ingest the *.mp4 files of a folder for one tenant; exits 3 when some failed')
      .requiredOption('--profile <name>', 'how to index them')
      .option('--concurrency <n>', 'videos in work at once', wholeNumber, 4),
  ).action(async (id: string, folder: string, options: IngestOptions) => {
    const request = {
      tenant: parseTenantId(id),
      profile: parseProfile(options.profile),
      folder: path.resolve(folder),
      concurrency: options.concurrency,
      reason: options.reason,
    };
    await withClient(async (client) => {
      if (options.dryRun) {
        const plan = await client.planIngest(request);
        answer(
          options.output,
          { dryRun: true, ...plan },
          () => `${plan.videos} video(s) would be ingested into ${plan.schema}`,
        );
        return;
      }
      const handle = await client.ingest(request);
      const result = await follow(handle, options);
      if (!result) {
        answer(options.output, { operation: handle.operation }, () => `ingesting ${request.folder}`);
        return;
      }
      const failures = await client.ingestFailures(handle.operation, SHOWN_FAILURES);
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
    });
  });
}
