import { existsSync } from 'node:fs';
import path from 'node:path';

/** The package's own folder, whether the code runs from `src/` or from `dist/src/`: where its data files lie. */
export const projectRoot = find(import.meta.dirname);

function find(folder: string): string {
  return existsSync(path.join(folder, 'package.json')) ? folder : find(path.dirname(folder));
}
