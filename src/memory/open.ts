import type { Settings } from '../settings.js';
import { openDocuments } from '../vespa/access.js';
import { ConfigServer } from '../vespa/configServer.js';
import { embedderOf } from './embedders/port.js';
import { TenantMemories } from './tenantMemories.js';

export type Memories = Pick<TenantMemories, 'open' | 'close'>;

/**
 * All that a process needs for tenants' memories, with a Vespa client of its own; the caller closes it.
 *
 * @throws OpsError `InvalidInput` naming the setting that is wrong
 */
export async function openMemories(settings: Settings): Promise<Memories> {
  const embedder = embedderOf(settings);
  const documents = await openDocuments(settings);
  const configServer = new ConfigServer(settings.vespaConfigUrl);
  const memories = new TenantMemories({
    ...{ documents, configServer, embedder },
    allowedPrivate: settings.allowedPrivateHosts,
  });
  return {
    open: (life, llm) => memories.open(life, llm),
    async close() {
      await memories.close();
      await documents.close();
    },
  };
}
