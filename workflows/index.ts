// Every function exported here is a workflow type: named one by one, never `export *`.
export { createTenant } from './createTenant.js';
export { ingestVideos } from './ingestVideos.js';
export { vespaApplication } from './vespaApplication.js';
