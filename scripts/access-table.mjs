// Writes docs/access-table.md from the table that decides.
import { writeFile } from 'node:fs/promises';
import { accessTable } from '../dist/src/access/table.js';

await writeFile(new URL('../docs/access-table.md', import.meta.url), accessTable());
