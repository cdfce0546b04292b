import { Command, CommanderError } from 'commander';
import { addAlertCommands } from './alerts.js';
import { addApprovalCommands } from './approvals.js';
import { addAuditCommands } from './audit.js';
import { addBackupCommands } from './backup.js';
import { addCertificateCommands } from './certificate.js';
import { addCodecServerCommand } from './codecServer.js';
import { addConfigCommands } from './config.js';
import { addHealthCommands } from './health.js';
import { addIngestCommand } from './ingest.js';
import { addIsolationCommands } from './isolation.js';
import { addOperationCommands } from './operations.js';
import { EXIT, type Format, reportError } from './output.js';
import { addDemoCommand } from './demo.js';
import { addOptimizeCommands } from './optimize.js';
import { addQuotaCommands } from './quota.js';
import { addRouteCommand } from './route.js';
import { addMemoryCommands } from './memory.js';
import { addMetricsCommand } from './metrics.js';
import { addSchemaCommands } from './schemas.js';
import { addSearchCommand } from './search.js';
import { addStackCommands } from './stack.js';
import { addTemplateCommands } from './templates.js';
import { addTenantCommands } from './tenants.js';
import { addTenantLifeCommands } from './tenantLife.js';
import { toolVersion } from '../version.js';
import { addTokenCommands } from './tokens.js';
import { addWatchCommands } from './watch.js';

/** Builds the command tree; the reference in `docs/` and shell completion are made from it. */
export function buildProgram(): Command {
  const program = new Command('cvops')
    .description('Durable operations for multi-tenant video search')
    // Not `--version`, which names a version of the configuration.
    .version(toolVersion, '-V')
    .showHelpAfterError('(add --help for the options)')
    .showSuggestionAfterError();
  addStackCommands(program);
  addTenantLifeCommands(addTenantCommands(program));
  addTemplateCommands(program);
  addConfigCommands(program);
  addSchemaCommands(program);
  addIngestCommand(program);
  addWatchCommands(program);
  addSearchCommand(program);
  addRouteCommand(program);
  addOptimizeCommands(program);
  addMemoryCommands(program);
  addMetricsCommand(program);
  addHealthCommands(program);
  addAlertCommands(program);
  addQuotaCommands(program);
  addBackupCommands(program);
  addIsolationCommands(program);
  addOperationCommands(program);
  addApprovalCommands(program);
  addAuditCommands(program);
  addCertificateCommands(program);
  addCodecServerCommand(program);
  addTokenCommands(program);
  addDemoCommand(program);
  program.addHelpText(
    'after',
    `
Exit codes: 0 done, 1 failed, 2 usage, 3 partly done, 4 denied, 5 not found, 6 wrong state or conflict, 7 quota,
8 a verification failed, 9 still running when the timeout ended, 130 detached.`,
  );
  forAll(program, (command) => command.exitOverride());
  return program;
}

/** Runs one command line and sets the process's exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const code = await run(argv);
  // One that went well may have set another: a supervisor that could not start its servers.
  if (code !== EXIT.done) process.exitCode = code;
}

/** Runs one command line and prints what went wrong. @returns its exit code */
export async function run(argv: readonly string[]): Promise<number> {
  try {
    await buildProgram().parseAsync([...argv]);
    return EXIT.done;
  } catch (error) {
    return error instanceof CommanderError ? usageExit(error, argv) : reportError(formatOf(argv), error);
  }
}

/** commander has printed its own message; with `-o json` the contract's form goes beside it. */
function usageExit(error: CommanderError, argv: readonly string[]): number {
  if (error.exitCode === 0) return EXIT.done;
  if (formatOf(argv) === 'json') {
    process.stderr.write(
      `${JSON.stringify({ error: { code: 'InvalidInput', message: error.message, hint: 'cvops --help' } })}\n`,
    );
  }
  return EXIT.usage;
}

/** The wish for JSON holds for errors too, also for those found before the options were parsed. */
function formatOf(argv: readonly string[]): Format {
  const at = argv.findIndex((arg) => arg === '-o' || arg === '--output');
  return argv[at + 1] === 'json' && at >= 0
    ? 'json'
    : argv.some((arg) => /^(-o|--output=)json$/.test(arg))
      ? 'json'
      : 'table';
}

function forAll(command: Command, apply: (command: Command) => void): void {
  apply(command);
  for (const child of command.commands) forAll(child, apply);
}
