import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { zstdDecompressSync } from 'node:zlib';
import { exportTraces } from '../../src/backup/traces/export.js';
import { TRACE_KINDS, type TraceKind } from '../../src/backup/traces/lines.js';
import { namespaceOf } from '../../src/backup/namespaces.js';
import type { BackupManifest } from '../../src/contracts/backup.js';
import type { BackupTenantResult } from '../../src/contracts/backupOperations.js';
import type { PartKind } from '../../src/domain/backups.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { type BaseSchema, MEMORY_SCHEMA } from '../../src/domain/profiles.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { type ConfigVersion, allConfigVersions } from '../../src/registry/config.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { deployed, schemasOf } from '../../src/registry/schemas.js';
import { type TenantRow, getTenant } from '../../src/registry/tenants.js';
import { videoPages } from '../../src/registry/videoRows.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { CONTENT_CLUSTER } from '../../src/vespa/package/services.js';
import { visit } from '../../src/vespa/visit.js';
import { cvopsJson, stackSettings } from './cvops.js';
import { fillTraces, restorable } from './traces.js';

/** Where videos are ingested. */
export const FRAMES = 'video_colpali_smol500_mv_frame';
/** Where documents are put past every ingest, which counts what there is and would take them for somebody's. */
export const CHUNKS = 'video_colqwen_omni_mv_chunk_30s';
export const PROFILES = ['--profiles', `${FRAMES},${CHUNKS}`] as const;

/** What a backup copies and a restore brings back, as the stores themselves give it. */
export interface Everything {
  /** By base schema: the raw lines of a visit, sorted, hence by id. */
  readonly documents: Readonly<Record<string, readonly string[]>>;
  readonly config: readonly ConfigVersion[];
  readonly videos: readonly unknown[];
  /** Without what Phoenix gives anew; null without a project. */
  readonly traces: Readonly<Record<TraceKind, readonly string[]>> | null;
}

/** The stores of the run's shared stack, looked at past the product's own operations. */
export class BackupWorld {
  readonly pool: Pool;
  readonly documents: DocumentClient;
  readonly phoenix: PhoenixClient;

  constructor() {
    const settings = stackSettings();
    this.pool = openPool(settings.databaseUrl, { name: 'backup-tests', max: 4 });
    this.documents = new DocumentClient(settings.vespaUrl);
    this.phoenix = new PhoenixClient(settings.phoenixUrl);
  }

  async close(): Promise<void> {
    await this.documents.close();
    await this.pool.end();
  }

  tenant(id: string): Promise<TenantRow> {
    return getTenant(this.pool, parseTenantId(id));
  }

  async linesOf(id: string, base: BaseSchema): Promise<string[]> {
    const { schema, namespace } = await this.schemaOf(id, base);
    const lines: string[] = [];
    for await (const event of visit(this.documents, { cluster: CONTENT_CLUSTER, schema, namespace })) {
      if (event.kind === 'rewind') throw new Error(`a visit of a test was cut: ${event.reason}`);
      if (event.kind === 'lines') lines.push(...event.lines.map((line) => line.toString('utf8')));
    }
    return lines.toSorted();
  }

  async everythingOf(id: string): Promise<Everything> {
    const { incarnation, phoenixProject } = await this.tenant(id);
    const documents: Record<string, string[]> = {};
    for (const { baseSchema } of await schemasOf(this.pool, incarnation))
      documents[baseSchema] = await this.linesOf(id, baseSchema);
    const videos: unknown[] = [];
    for await (const page of videoPages(this.pool, incarnation)) videos.push(...page);
    return {
      documents,
      config: await allConfigVersions(this.pool, incarnation),
      videos,
      traces: await this.tracesOf(phoenixProject),
    };
  }

  /** Puts documents past every operation. @param documents `fields` as JSON text, by id */
  async feed(id: string, base: BaseSchema, documents: Readonly<Record<string, string>>): Promise<void> {
    const of = await this.schemaOf(id, base);
    const put = ([document, fields]: [string, string]) =>
      this.documents.put({ ...of, id: document }, Buffer.from(`{"fields":${fields}}`));
    await Promise.all(Object.entries(documents).map(put));
  }

  async remove(id: string, base: BaseSchema, document: string): Promise<void> {
    await this.documents.remove({ ...(await this.schemaOf(id, base)), id: document });
  }

  /** Documents that a program which parses and prints them changes, memories, and traces with all that is said of them. */
  async fillOddly(id: string, { traces }: { readonly traces: number }): Promise<void> {
    const { incarnation, phoenixProject, memoryEnabled } = await this.tenant(id);
    await this.feed(id, CHUNKS, oddDocuments(id, incarnation));
    if (memoryEnabled) await this.feed(id, MEMORY_SCHEMA, oddMemories(id, incarnation));
    await fillTraces(this.phoenix, phoenixProject, { tenant: id, incarnation, seed: id, traces });
  }

  private async schemaOf(id: string, base: BaseSchema) {
    const { incarnation } = await this.tenant(id);
    const row = deployed(await schemasOf(this.pool, incarnation), base);
    if (!row) throw new Error(`${id} has no ${base}`);
    return { schema: row.schemaName, namespace: namespaceOf(base) };
  }

  private async tracesOf(project: string): Promise<Everything['traces']> {
    const call = { signal: new AbortController().signal, heartbeat: () => undefined };
    const there = await exportTraces(this.phoenix, project, call);
    if (there === null) return null;
    const traces: Record<TraceKind, string[]> = { spans: [], annotations: [], notes: [] };
    for (const kind of TRACE_KINDS) {
      const lines: Buffer[] = [];
      for await (const line of there.lines(kind)) lines.push(line);
      traces[kind] = restorable(lines);
    }
    return traces;
  }
}

export function backUp(id: string, ...args: readonly string[]): Promise<BackupTenantResult> {
  return cvopsJson<BackupTenantResult>(['backup', 'create', id, ...args]);
}

/** The folder that the path in a backup's result names. */
export const folderOf = ({ path: place }: Pick<BackupTenantResult, 'path'>): string => fileURLToPath(place);

export async function manifestIn(folder: string): Promise<BackupManifest> {
  const text = await readFile(path.join(folder, 'manifest.json'), 'utf8');
  return (JSON.parse(text) as { manifest: BackupManifest }).manifest;
}

/** What the parts of a kind hold, sorted, as `zstd -d` gives it. */
export async function linesIn(folder: string, kind: PartKind, base?: BaseSchema): Promise<string[]> {
  const { parts } = await manifestIn(folder);
  const lines: string[] = [];
  for (const part of parts.filter((one) => one.kind === kind && one.base === base))
    lines.push(
      ...zstdDecompressSync(await readFile(path.join(folder, part.path)))
        .toString('utf8')
        .split('\n')
        .slice(0, -1),
    );
  return lines.toSorted();
}

/** Changes one bit in the middle of a file. */
export async function flip(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(file, bytes);
}

/** Fields as JSON text by id: numbers at their bounds, texts that look like what a restore rewrites, tensors, nothing. */
function oddDocuments(tenant: string, incarnation: string): Record<string, string> {
  const owned = `"tenant_id":${JSON.stringify(tenant)},"incarnation":"${incarnation}"`;
  const texts = {
    source_url: `"tenant_id":"${tenant}","incarnation":"${incarnation}" id:content:${CHUNKS}_${tenant}::x`,
    video_title: 'é \\ " \n\t</script> 🎬 \u2028',
    audio_transcript: '',
  };
  const blocks = (digits: number) =>
    JSON.stringify({ blocks: { '0': hex(1, digits), '12': hex(2, digits), 'é "q"': hex(3, digits) } });
  return {
    highest: `{${owned},"creation_timestamp":9223372036854775807,"segment_id":-2147483648,"start_time":-0.0,"end_time":1e300}`,
    lowest: `{${owned},"creation_timestamp":-9223372036854775808,"start_time":5e-324,"end_time":0.1}`,
    'Ünïcode "quoted" id::with/all \\ of? 🎬 it': `{${owned},${JSON.stringify(texts).slice(1, -1)}}`,
    tensors: `{${owned},"embedding":${blocks(512)},"embedding_binary":${blocks(32)}}`,
    lists: `{${owned},"entity_ids":["b","a","b",""],"relation_ids":[]}`,
    'without an owner': `{"video_id":"${tenant}"}`,
    nothing: '{}',
    ...Object.fromEntries(
      Array.from({ length: 120 }, (_, i) => [`many_${i}`, `{${owned},"segment_id":${i}}`]),
    ),
  };
}

function oddMemories(tenant: string, incarnation: string): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: 12 }, (_, i) => [
      `m ${i} "ü"`,
      JSON.stringify({ tenant_id: tenant, incarnation, id: `m${i}`, text: `likes ${i} 🎬`, user_id: tenant }),
    ]),
  );
}

const hex = (seed: number, digits: number) =>
  Array.from({ length: digits / 2 }, (_, i) =>
    (((i * 7 + seed) % 63) + 1).toString(16).padStart(2, '0'),
  ).join('');
