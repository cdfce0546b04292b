import { createBackupDataActivities } from '../../activities/backup.js';
import { typedFailures } from '../../activities/failures.js';
import { createRestoreDataActivities } from '../../activities/restore.js';
import { PART_LIMITS } from '../../src/backup/documents/backUpSlice.js';
import { ConfigServer } from '../../src/vespa/configServer.js';
import { reportFailure, runWorker } from '../../workers/run.js';

/** So that fewer documents make as many parts; the product's own limit when not given. */
const lines = Number(process.env['BENCH_PART_LINES'] ?? PART_LIMITS.lines);

/** The real data worker, which does backups and restores only. */
runWorker('data', (resources) => {
  const configServer = new ConfigServer(resources.settings.vespaConfigUrl);
  const backup = { ...resources, configServer, partLimits: { ...PART_LIMITS, lines } };
  return typedFailures({ ...createBackupDataActivities(backup), ...createRestoreDataActivities(backup) });
}).catch(reportFailure);
