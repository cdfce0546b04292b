import { backUpSlice } from '../backup/documents/backUpSlice.js';
import { inSlices } from '../backup/documents/slices.js';
import { OpsError } from '../domain/errors.js';
import { MEMORY_NAMESPACE } from '../domain/naming.js';
import type { VisitSource } from '../vespa/visit.js';
import type { TenantLife } from './tenantMemory.js';

export interface ReadOptions {
  readonly source: VisitSource;
  readonly life: TenantLife;
  /** Content cluster. */
  readonly cluster: string;
  /** Beside `tenant_id` and `incarnation`. */
  readonly fields: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

const SLICES = 4;

export type Fields = Readonly<Record<string, unknown>>;

/** What becomes of the parts of a slice. */
export interface PartsOf<T> {
  /** In their order; the next is not read before it settles. */
  take(part: T): Promise<void>;
  /** The server lost documents on the way: those taken are void, and all come again. */
  restart(): Promise<void>;
}

/**
 * Reads every document of a tenant's memory schema once, by visiting in slices at a time.
 *
 * @param fold makes something of a part; it may be called again for one whose documents ended with an error
 * @throws OpsError `VerificationFailed` for a document of another life; what the visit throws
 */
export async function readAll<T>(
  options: ReadOptions,
  fold: (part: AsyncIterable<Fields>) => Promise<T>,
  partsOf: () => PartsOf<T>,
): Promise<void> {
  const { source, life, cluster, fields, signal } = options;
  const fieldSet = `${life.schema}:${['tenant_id', 'incarnation', ...fields].join(',')}`;
  const schema = { cluster, schema: life.schema, namespace: MEMORY_NAMESPACE, fieldSet };
  await inSlices(
    schema,
    SLICES,
    async (slice, either) => {
      const parts = partsOf();
      await backUpSlice(source, slice, {
        writePart: (_, lines) => fold(documentsOf(life, lines)),
        onPart: (_, part) => parts.take(part),
        onRestart: () => parts.restart(),
        signal: either,
      });
    },
    signal,
  );
}

async function* documentsOf(life: TenantLife, lines: AsyncIterable<Buffer>): AsyncGenerator<Fields> {
  for await (const line of lines) yield fieldsOf(life, line);
}

/** @throws OpsError `VerificationFailed` for a document of another life */
export function fieldsOf(life: TenantLife, line: Buffer): Fields {
  const { put, fields } = JSON.parse(line.toString('utf8')) as { put: string; fields: Fields };
  if (fields['tenant_id'] === life.tenant && fields['incarnation'] === life.incarnation) return fields;
  throw new OpsError(
    'VerificationFailed',
    `a document in ${life.tenant}'s schema is not of this tenant: ${put}`,
    'run: cvops isolation verify',
  );
}
