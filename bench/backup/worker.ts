import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { backUpSlice } from '../../src/backup/documents/backUpSlice.js';
import { inSlices, slicesFor } from '../../src/backup/documents/slices.js';
import { putOf, restoreParts } from '../../src/backup/documents/restoreParts.js';
import type { BackupPlace } from '../../src/backup/format/place.js';
import { readPart } from '../../src/backup/format/readPart.js';
import { writePart } from '../../src/backup/format/writePart.js';
import { openStore } from '../../src/backup/store/open.js';
import type { ManifestPart } from '../../src/contracts/backup.js';
import { parseStorePath } from '../../src/domain/backups.js';
import { addDigests, noLines } from '../../src/domain/lineDigests.js';
import { CONTENT_NAMESPACE } from '../../src/domain/naming.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { CONTENT_CLUSTER } from '../../src/vespa/package/services.js';

/** What the worker says at its end, one JSON line. */
export interface WorkerSaid {
  /** By its own watch, which starts when it does and not when its process is made. */
  readonly seconds: number;
  /** Processor time of all its threads, which the rest of the machine hardly moves. */
  readonly cpuSeconds: number;
  readonly documents: number;
  /** Sum of the parts' digests. */
  readonly digest: string;
  readonly parts: number;
  readonly plainBytes: number;
  readonly storedBytes: number;
  /** Highest resident memory of the process, MiB. */
  readonly maxRssMb: number;
}

const BASE = 'video_colpali_smol500_mv_frame';
/** Parts of one slice are numbered from a multiple of this. */
const PARTS_OF_SLICE = 100_000;
const PARTS_FILE = 'parts.json';

/** Our side of the benchmarks `backup` and `restore`, as a process of its own: its memory is nobody else's. */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      url: { type: 'string', default: '' },
      schema: { type: 'string', default: '' },
      folder: { type: 'string', default: '' },
      documents: { type: 'string', default: '20000' },
      /** Times the second of two backups: a worker is no new process. */
      warm: { type: 'boolean', default: false },
    },
  });
  await mkdir(values.folder, { recursive: true });
  const store = await openStore(values.folder, { s3Endpoint: '' });
  const place = { store, folder: parseStorePath('bench') };
  const client = new DocumentClient(values.url, { connections: 64 });
  const partsFile = path.join(values.folder, PARTS_FILE);
  let start = performance.now();
  let cpuBefore = process.cpuUsage();
  let parts: readonly ManifestPart[];
  if (positionals[0] === 'backup') {
    if (values.warm) {
      await backUp(client, place, values.schema, slicesFor(Number(values.documents)));
      start = performance.now();
      cpuBefore = process.cpuUsage();
    }
    parts = await backUp(client, place, values.schema, slicesFor(Number(values.documents)));
  } else {
    parts = JSON.parse(await readFile(partsFile, 'utf8')) as ManifestPart[];
    await restore(client, place, values.schema, parts);
  }
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  await writeFile(partsFile, JSON.stringify(parts));
  await client.close();
  await store.close();
  const sum = (of: (part: ManifestPart) => number) => parts.reduce((total, part) => total + of(part), 0);
  const said: WorkerSaid = {
    seconds,
    cpuSeconds: (user + system) / 1e6,
    documents: sum((part) => part.count),
    digest: parts.reduce((total, { digest }) => addDigests(total, digest), noLines),
    parts: parts.length,
    plainBytes: sum((part) => part.plainSize),
    storedBytes: sum((part) => part.size),
    maxRssMb: Math.round(process.resourceUsage().maxRSS / 1024),
  };
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

async function backUp(
  client: DocumentClient,
  place: BackupPlace,
  schema: string,
  slices: number,
): Promise<ManifestPart[]> {
  const bySlice = await inSlices({ cluster: CONTENT_CLUSTER, schema }, slices, async (slice, signal) => {
    const parts: ManifestPart[] = [];
    await backUpSlice(client, slice, {
      signal,
      writePart: (index, lines) => {
        const number = slice.sliceId * PARTS_OF_SLICE + index;
        return writePart(place, { kind: 'documents', base: BASE, index: number }, lines, { signal });
      },
      onPart: async (_, part) => void parts.push(part),
      onRestart: async () => void parts.splice(0),
    });
    return parts;
  });
  return bySlice.flat();
}

async function restore(
  client: DocumentClient,
  place: BackupPlace,
  schema: string,
  parts: readonly ManifestPart[],
): Promise<void> {
  const of = { namespace: CONTENT_NAMESPACE, schema };
  const { acknowledged } = await restoreParts(
    client,
    parts.map((part) => ({ part, lines: readPart(place, part) })),
    { put: (line) => putOf(line, of) },
  );
  const count = parts.reduce((total, part) => total + part.count, 0);
  if (acknowledged !== count) throw new Error(`${acknowledged} of ${count} documents are acknowledged`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
});
