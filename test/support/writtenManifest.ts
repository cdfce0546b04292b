import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BackupManifest } from '../../src/contracts/backup.js';

/** What a backup in a folder store says of itself. @param backup as `backup create` names its place: `file:///…` */
export async function writtenManifest(backup: string): Promise<BackupManifest> {
  const text = await readFile(path.join(fileURLToPath(backup), 'manifest.json'), 'utf8');
  return (JSON.parse(text) as { manifest: BackupManifest }).manifest;
}
