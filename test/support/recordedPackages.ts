import path from 'node:path';
import { projectRoot } from '../../src/projectRoot.js';

/** Where the shared stack's emulator keeps every package that became active, in folders named by generation. */
export const recordedPackages = path.join(projectRoot, '.cvops', 'test-packages');
