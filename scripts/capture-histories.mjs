// Saves histories of workflows that ran, for test/replay: `node scripts/capture-histories.mjs ADDRESS FOLDER NAME=ID …`.
// Never edited afterwards: a change that breaks one needs `patched` or a new workflow type.
import { mkdirSync, writeFileSync } from 'node:fs';
import { Client, Connection } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

const [address, folder, ...wanted] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const connection = await Connection.connect({ address });
const client = new Client({ connection });
for (const pair of wanted) {
  const at = pair.indexOf('=');
  const handle = client.workflow.getHandle(pair.slice(at + 1));
  // Timestamps of a plain JSON.stringify would not load back.
  const history = historyToJSON(await handle.fetchHistory());
  // Who ran it, and on which machine, is nobody's business here; a replay does not read it.
  const anonymous = (typeof history === 'string' ? history : JSON.stringify(history, null, 1))
    .replace(/("identity": *)"[^"]*"/g, '$1"worker"')
    .replace(/("stackTrace": *)"(?:[^"\\]|\\.)*"/g, '$1""');
  writeFileSync(`${folder}/${pair.slice(0, at)}.json`, `${anonymous}\n`);
}
await connection.close();
