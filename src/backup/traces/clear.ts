import { setTimeout as delay } from 'node:timers/promises';
import { OpsError } from '../../domain/errors.js';
import { type PhoenixClient, checkProjectName, requireStatus } from '../../phoenix/client.js';
import { drainSpans } from '../../phoenix/drain.js';
import { BEGINNING, countAllSpans } from './export.js';
import { type TracesCall, retrying } from './retrying.js';

const DRAIN_MS = 300_000;
const BEAT_MS = 5_000;
const TRIES = 5;
const PAUSE_MS = 1_000;

/**
 * Deletes every trace of a project with its annotations, and keeps the project: its description and who assigned what
 * retention to it. None there is success. Whoever sends spans must have stopped; what Phoenix had accepted is waited for.
 *
 * @throws OpsError `Unavailable` when spans keep coming
 */
export async function clearTraces(phoenix: PhoenixClient, project: string, call: TracesCall): Promise<void> {
  const range = new URLSearchParams({
    start_time: BEGINNING.toISOString(),
    end_time: '9999-12-31T00:00:00Z',
  });
  const path = `/v1/projects/${checkProjectName(project)}/traces?${range.toString()}`;
  let left: number | undefined;
  for (let tries = 0; tries < TRIES; tries++) {
    if (tries > 0) await delay(PAUSE_MS, undefined, { signal: call.signal });
    await retrying(call, () => drained(phoenix, call));
    await retrying(call, async () => requireStatus(await phoenix.send('DELETE', path), 204, 404));
    left = await countAllSpans(phoenix, project, call);
    call.heartbeat();
    if (!left) return;
  }
  throw new OpsError(
    'Unavailable',
    `${left} spans came into the Phoenix project ${project} while it was emptied`,
    'stop what sends them (deactivate the tenant), then do it again',
  );
}

/** A full queue takes minutes. */
async function drained(phoenix: PhoenixClient, { signal, heartbeat }: TracesCall): Promise<void> {
  const beat = setInterval(heartbeat, BEAT_MS);
  try {
    await drainSpans(phoenix, { timeoutMs: DRAIN_MS, signal });
  } finally {
    clearInterval(beat);
  }
}
