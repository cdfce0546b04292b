import readline from 'node:readline/promises';
import { type Command, Option } from 'commander';
import pc from 'picocolors';
import { OpsError } from '../domain/errors.js';
import { type PortName, parseNamedPort } from '../embedded/ports.js';
import { type ServiceState, type ServiceStatus, stackStatus } from '../embedded/status.js';
import {
  failureLine,
  startDetached,
  stopStack,
  supervise,
  supervised,
  supervisorCommand,
} from '../embedded/supervisor.js';
import { loadSettings } from '../settings.js';
import { type CommonOptions, wholeNumber, withOutput } from './context.js';
import { LiveTable } from './liveTable.js';
import { EXIT, ExitWith, answer, note, table } from './output.js';

interface UpOptions extends CommonOptions {
  readonly detach: boolean;
  readonly foreground: boolean;
  /** Set for the process that `--detach` starts: says how it failed in a form its starter reads. */
  readonly supervisor: boolean;
  readonly portOffset: number;
  readonly port: Readonly<Partial<Record<PortName, number>>>;
}

/** How often the live table looks at the services. */
const LIVE_MS = 2000;

export function addStackCommands(program: Command): void {
  withOutput(
    program
      .command('up')
      .description(
        'start the embedded stack: Temporal, Postgres, Phoenix, the Vespa emulator and the workers',
      )
      .option('-d, --detach', 'return when all is up; -o json implies it', false)
      .option('--foreground', 'stay, also with -o json; Ctrl-C ends all', false)
      .option('--port-offset <n>', 'add to every default port', wholeNumber, 0)
      .option('--port <service=port>', 'the port of one service; may be repeated', collectPort, {})
      .addOption(new Option('--supervisor').default(false).hideHelp()),
  ).action(async (options: UpOptions) => {
    const { home } = loadSettings();
    if (options.supervisor) return upAsSupervisor(home, options);
    const detach = options.detach || (options.output === 'json' && !options.foreground);
    // A second `up` says what runs, whichever way the first was started.
    if (!detach && !supervised(home)) return upInForeground(home, options);
    await startDetached(
      home,
      supervisorCommand({ portOffset: options.portOffset, ports: options.port }),
      note,
    );
    showStatus(options, await stackStatus(home));
  });

  withOutput(
    program
      .command('down')
      .description('stop the embedded stack')
      .option('--wipe', 'remove its state too: every tenant, document and trace in it', false)
      .option('--yes', 'do not ask before --wipe', false),
  ).action(async (options: CommonOptions & { wipe: boolean; yes: boolean }) => {
    const { home } = loadSettings();
    if (options.wipe && !options.yes) await confirmWipe(home);
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
  const live = options.output === 'table' && process.stdout.isTTY ? new LiveTable(process.stdout) : undefined;
  const log = live ? (line: string) => live.say(line) : note;
  const stop = stopOnSignals(log);
  const refresh = async () => {
    const services = await stackStatus(home);
    if (!stop.aborted) live?.show(statusTable(services));
  };
  const timer = live && setInterval(() => void refresh().catch(() => undefined), LIVE_MS);
  stop.addEventListener('abort', () => {
    clearInterval(timer);
    live?.clear();
  });
  let up = false;
  try {
    await supervise(
      { home, portOffset: options.portOffset, ports: options.port, log },
      async () => {
        up = true;
        if (live) await refresh();
        else showStatus(options, await stackStatus(home));
        log('all up; Ctrl-C ends it');
      },
      stop,
    );
  } catch (error) {
    if (stop.aborted && !up) throw new ExitWith(EXIT.detached);
    throw error;
  } finally {
    clearInterval(timer);
  }
}

async function upAsSupervisor(home: string, options: UpOptions): Promise<void> {
  try {
    await supervise(
      { home, portOffset: options.portOffset, ports: options.port, log: note },
      async () => note('all up'),
      stopOnSignals(note),
    );
  } catch (error) {
    note(failureLine(error));
    process.exitCode = EXIT.failed;
  }
}

/** The first signal ends the stack in order, the second at once. */
function stopOnSignals(log: (line: string) => void): AbortSignal {
  const stop = new AbortController();
  const interrupt = () => {
    if (stop.signal.aborted) process.exit(EXIT.detached);
    stop.abort();
    log('stopping …');
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  // The terminal may be gone: that must not end this process before its services.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  return stop.signal;
}

function collectPort(text: string, before: UpOptions['port']): UpOptions['port'] {
  const { name, port } = parseNamedPort(text);
  return { ...before, [name]: port };
}

async function confirmWipe(home: string): Promise<void> {
  const refusal = new OpsError(
    'InvalidInput',
    'nothing was removed: not confirmed',
    'cvops down --wipe --yes',
  );
  if (!process.stdin.isTTY) throw refusal;
  const terminal = readline.createInterface({ input: process.stdin, output: process.stderr });
  const reply = await terminal.question(
    `This removes every tenant, document and trace in ${home}. Type yes: `,
  );
  terminal.close();
  if (reply.trim() !== 'yes') throw refusal;
}

function showStatus(options: CommonOptions, services: readonly ServiceStatus[]): void {
  answer(options.output, { services }, () => statusTable(services));
}

const COLOURS: Readonly<Record<ServiceState, (text: string) => string>> = {
  running: pc.green,
  external: pc.cyan,
  starting: pc.yellow,
  unhealthy: pc.red,
  stopped: pc.dim,
};

function statusTable(services: readonly ServiceStatus[]): string {
  return table(
    ['SERVICE', 'STATE', 'ADDRESS', 'VERSION'],
    services.map((s) => [s.name, COLOURS[s.state](s.state), s.address, s.version]),
  );
}
