// `npm test`: every test, in two lines of vitest runs side by side. Both wait more than they work, for servers, timers and
// processes, and share nothing but the machine. `npm test -- ARGS` is one plain `vitest run ARGS`.
// Each run leaves its report in .cvops/test-reports/, for .ci/run to count.
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
const reports = path.join(root, '.cvops', 'test-reports');

/**
 * Two lines side by side. `packages` judges what `integration` deployed; `second` has a stack of its own, and begins when
 * the other one's programs are installed. What runs from the start is shown as it goes.
 */
const LINES = [
  [{ name: 'stack', projects: ['integration', 'packages'], live: true }],
  [
    { name: 'alone', projects: ['unit', 'workflows', 'isolation'], live: false },
    { name: 'second', projects: ['second'], live: false },
  ],
];

const args = process.argv.slice(2);
if (args.length > 0) {
  process.exitCode = (await run(['run', ...args], true)).code;
} else {
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports, { recursive: true });
  await Promise.all(
    LINES.map(async (line) => {
      for (const each of line) {
        const { code, output } = await runProjects(each);
        process.stdout.write(output);
        if (code !== 0) process.exitCode = 1;
      }
    }),
  );
}

function runProjects({ name, projects, live }) {
  return run(
    [
      'run',
      ...projects.map((project) => `--project=${project}`),
      ...['--reporter=default', '--reporter=json', `--outputFile.json=${path.join(reports, `${name}.json`)}`],
    ],
    live,
  );
}

/** @returns its exit code, and what it printed when that was not shown */
async function run(argv, live) {
  const child = spawn(process.execPath, [vitest, ...argv], {
    cwd: root,
    stdio: ['ignore', live ? 'inherit' : 'pipe', live ? 'inherit' : 'pipe'],
  });
  let output = '';
  for (const stream of live ? [] : [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  const code = await new Promise((resolve) => child.once('close', (exit) => resolve(exit ?? 1)));
  return { code, output };
}
