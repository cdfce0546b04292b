import type { Command } from 'commander';
import { stackStatus } from '../embedded/status.js';
import type { ServiceStatus } from '../embedded/status.js';
import { startDetached, stopStack, supervise, supervised } from '../embedded/supervisor.js';
import { OpsError } from '../domain/errors.js';
import { loadSettings } from '../settings.js';
import { type CommonOptions, wholeNumber, withOutput } from './context.js';
import { answer, note, table } from './output.js';

interface UpOptions extends CommonOptions {
  readonly detach: boolean;
  readonly foreground: boolean;
  readonly portOffset: number;
}

export function addStackCommands(program: Command): void {
  withOutput(
    program
      .command('up')
      .description(
        'start the embedded stack: Temporal, Postgres, Phoenix, the Vespa emulator and the workers',
      )
      .option('-d, --detach', 'return when all is up; -o json implies it', false)
      .option('--foreground', 'stay, also with -o json; Ctrl-C ends all', false)
      .option('--port-offset <n>', 'add to every default port', wholeNumber, 0),
  ).action(async (options: UpOptions) => {
    const { home } = loadSettings();
    const detach = options.detach || (options.output === 'json' && !options.foreground) || supervised(home);
    if (detach)
      await startDetached(
        home,
        [
          process.execPath,
          process.argv[1]!,
          'up',
          '--foreground',
          '--port-offset',
          String(options.portOffset),
        ],
        note,
      );
    else await upInForeground(home, options);
    if (detach) showStatus(options, await stackStatus(home));
  });

  withOutput(
    program
      .command('down')
      .description('stop the embedded stack')
      .option('--wipe', 'remove its state too: every tenant, document and trace in it', false)
      .option('--yes', 'do not ask before --wipe', false),
  ).action(async (options: CommonOptions & { wipe: boolean; yes: boolean }) => {
    const { home } = loadSettings();
    if (options.wipe && !options.yes && process.stdin.isTTY) {
      note(`this removes all data in ${home}; run it again with --yes to confirm`);
      throw new OpsError('InvalidInput', 'not confirmed', 'cvops down --wipe --yes');
    }
    await stopStack(home, { wipe: options.wipe, log: note });
    showStatus(options, await stackStatus(home));
  });

  withOutput(program.command('status').description('the services, their state, address and version')).action(
    async (options: CommonOptions) => {
      showStatus(options, await stackStatus(loadSettings().home));
    },
  );
}

async function upInForeground(home: string, options: UpOptions): Promise<void> {
  const stop = new AbortController();
  const interrupt = () => {
    if (stop.signal.aborted) return;
    note('stopping …');
    stop.abort(new OpsError('Unavailable', 'stopped before all was up'));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  await supervise(
    { home, portOffset: options.portOffset, log: note },
    async () => {
      showStatus(options, await stackStatus(home));
      note('all up; Ctrl-C ends it');
    },
    stop.signal,
  );
}

function showStatus(options: CommonOptions, services: readonly ServiceStatus[]): void {
  answer(options.output, { services }, () =>
    table(
      ['SERVICE', 'STATE', 'ADDRESS', 'VERSION'],
      services.map((s) => [s.name, s.state, s.address, s.version]),
    ),
  );
}
