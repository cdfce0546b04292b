import { OpsError } from '../../domain/errors.js';
import { type TenantRow } from '../../registry/tenants.js';
import { readPart } from '../format/readPart.js';
import { exportTraces } from '../traces/export.js';
import { digestTraces, importTraces } from '../traces/import.js';
import { TRACE_KINDS, type TraceKind } from '../traces/lines.js';
import type { TracesCall } from '../traces/retrying.js';
import type { BackupResources } from '../writer.js';
import type { RestoreSource } from './source.js';

/**
 * Puts the traces into the tenant's project, which must hold nothing else, and reads them back.
 *
 * @throws OpsError `VerificationFailed` when they are not what was put there
 */
export async function restoreTraces(
  { phoenix }: Pick<BackupResources, 'phoenix'>,
  source: RestoreSource,
  to: TenantRow,
  call: TracesCall,
): Promise<{ spans: number }> {
  const { manifest, place, key } = source;
  if (manifest.traces === null) return { spans: 0 };
  const project = to.phoenixProject;
  async function* lines(kind: TraceKind): AsyncGenerator<Buffer> {
    for (const part of manifest.parts)
      if (part.kind === kind) yield* readPart(place, part, { key, signal: call.signal });
  }
  // Ids are global on a Phoenix server, and those of another tenant may still be there.
  const rename =
    manifest.tenant === to.tenant
      ? undefined
      : { from: manifest, to: { tenant: to.tenant, incarnation: to.incarnation } };
  const given = await importTraces(
    phoenix,
    project,
    { spans: lines('spans'), annotations: lines('annotations'), notes: lines('notes') },
    { ...call, description: `Traces of tenant ${to.tenant}`, ...(rename ? { rename } : {}) },
  );
  const there = await exportTraces(phoenix, project, call);
  const read = there && (await digestTraces((kind) => there.lines(kind)));
  for (const kind of TRACE_KINDS)
    if (read?.[kind].count !== given[kind].count || read[kind].digest !== given[kind].digest)
      throw new OpsError(
        'VerificationFailed',
        `project ${project} after the restore holds ${read?.[kind].count ?? 0} ${kind}, ` +
          `${given[kind].count} were put there`,
        'see that nothing else sends traces to it, then restore again',
      );
  return { spans: given.spans.count };
}
