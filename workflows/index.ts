// Every function exported here is a workflow type: named one by one, never `export *`.
export { annotateSpans, evaluateSpans, retrainRouting } from './optimization.js';
export { backupTenant } from './backupTenant.js';
export { createTenant } from './createTenant.js';
export { deploySchemas } from './deploySchemas.js';
export { drillRestore } from './drillRestore.js';
export { hardDeleteTenant } from './hardDeleteTenant.js';
export { ingestVideos } from './ingestVideos.js';
export { optimizeTenant } from './optimizeTenant.js';
export { pruneBackups } from './pruneBackups.js';
export { reconcileRetention } from './reconcileRetention.js';
export { restoreTenant } from './restoreTenant.js';
export { scheduledBackup } from './scheduledBackup.js';
export { softDeleteTenant } from './softDeleteTenant.js';
export { verifyBackup } from './verifyBackup.js';
export { vespaApplication } from './vespaApplication.js';
export { watchVideos } from './watchVideos.js';
