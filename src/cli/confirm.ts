import { createInterface } from 'node:readline/promises';
import { OpsError } from '../domain/errors.js';

/**
 * What cannot be undone is confirmed by the name of its object: given with the command, or typed at a terminal.
 *
 * @throws OpsError `InvalidInput` when another name is given, and without one off a terminal
 */
export async function confirm(name: string, given: string | undefined, what: string): Promise<void> {
  if (given === undefined && !(process.stdin.isTTY && process.stderr.isTTY)) {
    throw new OpsError('InvalidInput', `${what} cannot be undone`, `say so with --confirm=${name}`);
  }
  const typed = given ?? (await ask(`${what} cannot be undone. Type ${name} to go on: `));
  if (typed === name) return;
  throw new OpsError('InvalidInput', `not confirmed: ${what} is confirmed by ${name}`, 'nothing was done');
}

async function ask(question: string): Promise<string> {
  // stdout is for the answer alone.
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await terminal.question(question)).trim();
  } finally {
    terminal.close();
  }
}
