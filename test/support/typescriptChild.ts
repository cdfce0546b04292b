import { type ChildProcess, spawn } from 'node:child_process';
import { projectRoot } from '../../src/projectRoot.js';

/** The sources import each other by the names they are compiled to. */
const HOOKS = `
import { registerHooks } from 'node:module';
registerHooks({
  resolve(specifier, context, next) {
    const ours = specifier.startsWith('.') && context.parentURL?.endsWith('.ts');
    return next(ours ? specifier.replace(/\\.js$/, '.ts') : specifier, context);
  },
});`;

/**
 * A process of its own that runs a module's text, in which `@/` is the project's root: `import { a } from '@/src/a.ts'`.
 *
 * @param under a command that runs it, as `['nice']`
 */
export function typescriptChild(
  text: string,
  args: readonly string[],
  under: readonly string[] = [],
): ChildProcess {
  const [command, ...rest] = [
    ...under,
    process.execPath,
    '--experimental-transform-types',
    '--no-warnings',
    ...['--import', `data:text/javascript,${encodeURIComponent(HOOKS)}`],
    ...['--input-type=module', '-e', text.replaceAll("'@/", `'${projectRoot}/`), '--', ...args],
  ];
  return spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
}
