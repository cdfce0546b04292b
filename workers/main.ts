import { OpsError } from '../src/domain/errors.js';
import { controlActivities, dataActivities } from './activities.js';
import { reportFailure, runWorker } from './run.js';

/** A worker process: `node dist/workers/main.js control|data`. */
async function main(role: string | undefined): Promise<void> {
  if (role !== 'control' && role !== 'data')
    throw new OpsError('InvalidInput', 'usage: main.js control|data');
  await runWorker(role, role === 'control' ? controlActivities : dataActivities);
}

main(process.argv[2]).catch(reportFailure);
