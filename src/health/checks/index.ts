import { backupsCheck } from './backups.js';
import type { Check } from './check.js';
import { configCheck } from './config.js';
import { lifecycleCheck } from './lifecycle.js';
import { memoryCheck } from './memory.js';
import { operationsCheck } from './operations.js';
import { phoenixCheck } from './phoenix.js';
import { quotasCheck } from './quotas.js';
import { schedulesCheck } from './schedules.js';
import { schemasCheck } from './schemas.js';

/** All that is looked at of a tenant, in the order in which a person should read it. */
export const TENANT_CHECKS: readonly Check[] = [
  ...[lifecycleCheck, schemasCheck, configCheck, memoryCheck, phoenixCheck],
  ...[backupsCheck, schedulesCheck, operationsCheck, quotasCheck],
];
