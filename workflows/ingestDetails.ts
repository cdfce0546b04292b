import type { IngestProgress, IngestVideosInput } from '../src/contracts/ingest.js';
import { spokenSeconds } from '../src/domain/rate.js';

/**
 * Where an ingest stands, for the Temporal UI and the command's progress line. A list: the UI sets a table's columns
 * without any space between them.
 */
export function ingestDetails({ tenant, profile }: IngestVideosInput, progress: IngestProgress): string {
  const { phase, total, videos, inFlight, concurrency, documents, videosPerSecond, blocked } = progress;
  const { stored, unchanged, failed } = videos;
  const left = progress.secondsLeft;
  return [
    `**Ingest into \`${tenant}\`** (${profile}): ${phase.replace('_', ' ')}\n`,
    `- **${stored + unchanged + failed} of ${total}** videos: ${stored} stored, ${unchanged} unchanged, ${failed} failed`,
    `- **${inFlight}** in work, ${concurrency} at most`,
    `- **${documents}** documents`,
    ...(videosPerSecond === null || phase === 'done'
      ? []
      : [
          `- **${videosPerSecond.toFixed(2)}** videos/s, ${left === null ? 'unknown' : spokenSeconds(left)} left`,
        ]),
    ...(blocked === undefined
      ? []
      : [`- **feed blocked**, tried again in ${blocked.retryInSeconds} s: ${oneLine(blocked.why)}`]),
  ].join('\n');
}

/** Vespa's words, without what Markdown would make of them. */
function oneLine(text: string): string {
  return text.replace(/[\s`*_<>[\]]+/g, ' ').slice(0, 200);
}
