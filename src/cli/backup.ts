import type { Command } from 'commander';
import { addBackupKeepingCommands } from './backupKeeping.js';

export function addBackupCommands(program: Command): void {
  const backup = program.command('backup').description('backups of tenants');
  addBackupKeepingCommands(backup);
}
