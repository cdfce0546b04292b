import { backup } from './backup.js';
import { backupKills } from './backupKills.js';
import { feed } from './feed.js';
import { ingest } from './ingest/main.js';
import { isolation } from './isolation.js';
import { memory } from './memory.js';
import { qps } from './qps.js';
import { restore } from './restore.js';
import { roundTrip } from './roundTrip.js';
import { schemas } from './schemas.js';

const BENCHES: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  backup,
  'backup-kills': backupKills,
  feed,
  ingest,
  isolation,
  memory,
  qps,
  restore,
  'round-trip': roundTrip,
  schemas,
};

/** `npm run -s bench -- NAME`: one JSON line a row on stdout, progress on stderr. */
async function main([name, ...args]: readonly string[]): Promise<void> {
  const bench = name === undefined ? undefined : BENCHES[name];
  if (bench === undefined) {
    process.stderr.write(`usage: npm run -s bench -- ${Object.keys(BENCHES).join('|')}\n`);
    process.exitCode = 2;
    return;
  }
  await bench(args);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
});
