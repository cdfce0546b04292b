import type { Command } from 'commander';
import { Option } from 'commander';
import { CvopsClient } from '../client/index.js';
import type { OperationHandle } from '../client/operations.js';
import { OpsError } from '../domain/errors.js';
import { quoteForMessage } from '../domain/ids.js';
import { loadSettings } from '../settings.js';
import { EXIT, ExitWith, type Format, ProgressLine, note } from './output.js';

export interface CommonOptions {
  readonly output: Format;
}

/** Of a change that is done at once, without a workflow. */
export interface ChangeOptions extends CommonOptions {
  readonly reason: string;
  readonly dryRun: boolean;
}

export interface WaitOptions extends ChangeOptions {
  readonly wait: boolean;
  /** Seconds; 0 waits for ever. */
  readonly timeout: number;
}

export function withOutput(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'table or json').choices(['table', 'json']).default('table'),
  );
}

/** The options every command has that changes something. */
export function withChange(command: Command): Command {
  return withOutput(command)
    .option('--reason <text>', 'why, for the audit log', '')
    .option('--dry-run', 'print what would be done, do nothing', false);
}

/** The options every command has that starts an operation. */
export function withWait(command: Command): Command {
  return withChange(command)
    .option('--wait', 'wait for the end (default)', true)
    .option('--no-wait', 'return as soon as it is started')
    .option('--timeout <seconds>', 'stop waiting after this long and exit 9; 0: never', wholeNumber, 0);
}

export function wholeNumber(text: string): number {
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  throw new OpsError('InvalidInput', `not a whole number: ${JSON.stringify(text.slice(0, 40))}`);
}

/** Collects `--set key=value`, which may be repeated; the last of a key wins. */
export function collectSetting(text: string, settings: Record<string, string>): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1)
    throw new OpsError(
      'InvalidInput',
      `not key=value: ${quoteForMessage(text)}`,
      'for example --set max_qps=20',
    );
  // From entries, so that a key such as `__proto__` is one like any other.
  return Object.fromEntries([...Object.entries(settings), [text.slice(0, at), text.slice(at + 1)]]);
}

export async function withClient<T>(work: (client: CvopsClient) => Promise<T>): Promise<T> {
  const client = await CvopsClient.connect(loadSettings());
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/**
 * Waits for an operation with live progress. Ctrl-C and `--timeout` only stop the waiting: the operation is Temporal's,
 * not this process's.
 *
 * @returns undefined with `--no-wait`
 */
export async function follow<T>(handle: OperationHandle<T>, options: WaitOptions): Promise<T | undefined> {
  note(`operation ${handle.operation}\n  ${handle.uiUrl}`);
  if (!options.wait) return undefined;

  const progress = new ProgressLine();
  const stop = new AbortController();
  const detached = new Promise<never>((_, reject) => {
    const leave = (code: number, why: string) => {
      progress.end();
      note(`${why}; it goes on. Follow it with: cvops op watch ${handle.operation}`);
      reject(new ExitWith(code));
    };
    const onInterrupt = () => leave(EXIT.detached, 'detached');
    process.once('SIGINT', onInterrupt);
    const timer =
      options.timeout > 0
        ? setTimeout(() => leave(EXIT.timeout, 'still running'), options.timeout * 1000)
        : undefined;
    stop.signal.addEventListener('abort', () => {
      process.off('SIGINT', onInterrupt);
      clearTimeout(timer);
    });
  });
  const showing = showProgress(handle, progress, stop.signal);
  try {
    return await Promise.race([handle.result(), detached]);
  } finally {
    stop.abort();
    await showing;
    progress.end();
  }
}

async function showProgress(
  handle: OperationHandle<unknown>,
  progress: ProgressLine,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const details = await handle.currentDetails();
    if (signal.aborted) return;
    if (details) progress.show(oneLine(details));
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 1000);
      signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}

/** The UI's Markdown on one line: its list items, of a check list those under way. */
export function oneLine(markdown: string): string {
  const [title = '', ...lines] = markdown
    .replace(/[*`]/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const items = lines.filter((line) => line.startsWith('- ')).map((line) => line.slice(2));
  const shown = items.filter((item) => !item.startsWith('[x]')).map((item) => item.replace(/^\[ \] /, ''));
  return [title, ...shown].join(' · ');
}
