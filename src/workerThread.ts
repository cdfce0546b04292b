import { Worker } from 'node:worker_threads';

/**
 * A thread of the module `name` beside the caller's. As built, that is JavaScript. From the sources (tests), Node strips
 * the types itself but wants to be told that `./x.js` is `./x.ts` there.
 *
 * @param here the caller's `import.meta.url`
 */
export function startWorker(here: string, name: string): Worker {
  if (!here.endsWith('.ts')) return new Worker(new URL(`./${name}.js`, here));
  const source = new URL(`./${name}.ts`, here);
  const boot = `
    const { registerHooks } = await import('node:module');
    registerHooks({
      resolve: (name, context, next) =>
        next(context.parentURL?.endsWith('.ts') && name.startsWith('.') ? name.replace(/\\.js$/, '.ts') : name, context),
    });
    await import(${JSON.stringify(source.href)});
  `;
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(boot)}`));
}
