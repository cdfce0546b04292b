import { OpsError } from '../../domain/errors.js';
import { readPackage } from '../../vespa/activePackage.js';
import { feedAll } from '../../vespa/feeding/feeder.js';
import type { FeedOperation } from '../../vespa/feeding/operation.js';
import { visit } from '../../vespa/visit.js';
import { type DocumentsOf, documentLine } from '../format/documentLine.js';
import type { BackupResources } from '../writer.js';
import type { Watch } from './documents.js';

/** Visits after which documents that keep coming are somebody's. */
const PASSES = 5;

/**
 * Takes every document out of a schema. Whoever writes to it must have been stopped.
 *
 * @returns how many removals there were
 * @throws OpsError `Unavailable` when documents keep coming, or Vespa refuses a removal
 */
export async function emptySchema(
  { documents, configServer }: Pick<BackupResources, 'documents' | 'configServer'>,
  of: DocumentsOf,
  { signal, heartbeat }: Watch,
): Promise<{ removed: number }> {
  const { contentCluster: cluster } = await readPackage(configServer);
  let removed = 0;
  for (let pass = 1; pass <= PASSES; pass++) {
    let found = 0;
    async function* removals(): AsyncGenerator<FeedOperation> {
      for await (const event of visit(documents, { cluster, ...of, fieldSet: '[id]', signal })) {
        heartbeat();
        if (event.kind !== 'lines') continue;
        for (const line of event.lines) {
          found++;
          yield { at: { ...of, id: documentLine(line, of).user }, remove: true };
        }
      }
    }
    await feedAll(documents, removals(), { signal, stopOnFailure: true, onEnd: heartbeat });
    removed += found;
    if (found === 0) return { removed };
  }
  throw new OpsError(
    'Unavailable',
    `documents keep coming into schema ${of.schema} while it is emptied`,
    'find who writes to it',
  );
}
