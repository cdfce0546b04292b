import Table from 'cli-table3';
import pc from 'picocolors';
import { WorkflowFailedError } from '@temporalio/client';
import { toOpsError } from '../client/failures.js';
import { OpsError } from '../domain/errors.js';
import { redactForeign } from '../domain/redaction.js';

export type Format = 'table' | 'json';

/** A command's end that is not an error: partly done, timed out, detached, verification failed. */
export class ExitWith extends Error {
  constructor(readonly exitCode: number) {
    super(`exit ${exitCode}`);
  }
}

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  partly: 3,
  verification: 8,
  timeout: 9,
  detached: 130,
} as const;

/** stdout carries the answer and nothing else: exactly one JSON document, or a table. */
export function answer(format: Format, json: unknown, table: () => string): void {
  process.stdout.write(`${format === 'json' ? JSON.stringify(json) : table()}\n`);
}

/** Progress, hints and links go to stderr. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const plain = {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
    left: '',
    'left-mid': '',
    mid: '',
    'mid-mid': '',
    right: '',
    'right-mid': '',
    middle: '  ',
  };
  const t = new Table({
    head: head.map((h) => pc.bold(h)),
    chars: plain,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of rows) t.push(row.map(String));
  return t.toString();
}

/** Prints what went wrong, in the contract's form with `-o json`, and says which exit code it means. */
export function reportError(format: Format, error: unknown): number {
  if (error instanceof ExitWith) return error.exitCode;
  const known = toOpsError(error);
  const { code, message, hint, exitCode } =
    known instanceof OpsError
      ? { code: known.type as string, message: known.message, hint: known.hint, exitCode: known.exitCode }
      : { code: 'Failed', message: redactForeign(describe(error)), hint: undefined, exitCode: EXIT.failed };
  if (format === 'json') note(JSON.stringify({ error: { code, message, ...(hint ? { hint } : {}) } }));
  else note(`${pc.red('error')}: ${message}${hint ? `\n  ${hint}` : ''}`);
  return exitCode;
}

function describe(error: unknown): string {
  if (error instanceof WorkflowFailedError && error.cause instanceof Error) return describe(error.cause);
  if (error instanceof AggregateError && error.errors.length > 0) return describe(error.errors[0]);
  return error instanceof Error ? error.message || error.name : String(error);
}

/** One line that rewrites itself on a terminal; off a terminal, a line only when it says something new. */
export class ProgressLine {
  private last = '';

  show(text: string): void {
    if (text === this.last) return;
    this.last = text;
    process.stderr.write(
      process.stderr.isTTY ? `\r\x1b[2K${text.slice(0, (process.stderr.columns ?? 80) - 1)}` : `${text}\n`,
    );
  }

  end(): void {
    if (process.stderr.isTTY && this.last) process.stderr.write('\n');
    this.last = '';
  }
}
