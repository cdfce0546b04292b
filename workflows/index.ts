// Every function exported here is a workflow type: named one by one, never `export *`.
export { backupTenant } from './backupTenant.js';
export { clearMemory } from './clearMemory.js';
export { createTenant } from './createTenant.js';
export { deploySchemas } from './deploySchemas.js';
export { drillRestore } from './drillRestore.js';
export { hardDeleteTenant } from './hardDeleteTenant.js';
export { importMemory } from './importMemory.js';
export { ingestVideos } from './ingestVideos.js';
export { pruneBackups } from './pruneBackups.js';
export { pruneMemory } from './pruneMemory.js';
export { reconcileRetention } from './reconcileRetention.js';
export { restoreTenant } from './restoreTenant.js';
export { scheduledBackup } from './scheduledBackup.js';
export { softDeleteTenant } from './softDeleteTenant.js';
export { verifyBackup } from './verifyBackup.js';
export { vespaApplication } from './vespaApplication.js';
export { watchVideos } from './watchVideos.js';
