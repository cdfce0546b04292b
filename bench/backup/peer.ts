import { createReadStream } from 'node:fs';
import { CONTENT_CLUSTER } from '../../src/vespa/package/services.js';
import { vespa, vespaInto } from '../../test/support/vespaCli.js';
import type { Filled } from './jobs.js';

/** The official visitor into a file. @returns seconds of the whole command, and the documents that it brought */
export async function peerVisit(
  filled: Filled,
  file: string,
): Promise<{ seconds: number; documents: number }> {
  const start = performance.now();
  const { schema } = filled.job;
  const { code, stderr } = await vespaInto(
    file,
    filled.server.url,
    'visit',
    '--content-cluster',
    CONTENT_CLUSTER,
    '--selection',
    schema,
  );
  const seconds = (performance.now() - start) / 1000;
  if (code !== 0) throw new Error(`vespa visit: ${stderr.slice(-500)}`);
  let documents = 0;
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>)
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) documents++;
  return { seconds, documents };
}

/** @returns seconds by the official feeder's own watch, which starts when it does and not when its process is made */
export async function peerFeed(url: string, file: string): Promise<number> {
  const { stdout, stderr } = await vespa(url, 'feed', file);
  try {
    return (JSON.parse(stdout) as { 'feeder.seconds': number })['feeder.seconds'];
  } catch {
    throw new Error(`vespa feed said no figures: ${stderr.slice(-500)}`);
  }
}
