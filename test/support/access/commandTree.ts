import { AsyncLocalStorage } from 'node:async_hooks';
import { buildProgram, run } from '../../../src/cli/main.js';

interface Call {
  readonly token: string;
  out: string;
  err: string;
}

export interface Called {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const calls = new AsyncLocalStorage<Call>();

/**
 * Makes this process one that whole commands run in, many at once: each has its own `CVOPS_TOKEN`, and what it prints is
 * its own. Some hundreds of processes would take minutes.
 *
 * @param env what every command finds in its environment
 */
export function hostCommands(env: Readonly<Record<string, string>>): void {
  process.env = new Proxy(
    { ...process.env, ...env },
    {
      get: (all, name) =>
        name === 'CVOPS_TOKEN' ? calls.getStore()?.token : (Reflect.get(all, name) as string | undefined),
    },
  );
  for (const [stream, of] of [
    [process.stdout, 'out'],
    [process.stderr, 'err'],
  ] as const) {
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
    stream.write = (...args: unknown[]): boolean => {
      const call = calls.getStore();
      if (call === undefined) return write(...args);
      call[of] += String(args[0]);
      return true;
    };
  }
}

/** Whether the command of these words has the option. */
export function hasOption(words: readonly string[], option: string): boolean {
  const [name, ...rest] = words;
  let at = buildProgram().commands.find((command) => command.name() === name);
  for (const word of rest) at = at?.commands.find((command) => command.name() === word) ?? at;
  return at?.options.some(({ long }) => long === option) ?? false;
}

/** One command line, as a process would run it, with `-o json`. */
export async function command(token: string, args: readonly string[]): Promise<Called> {
  const call: Call = { token, out: '', err: '' };
  const code = await calls.run(call, () => run(['node', 'cvops', ...args, '-o', 'json']));
  return { code, out: call.out, err: call.err };
}
