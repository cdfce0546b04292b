#!/usr/bin/env node
// Said here: an older Node would fail much later, in the middle of an operation.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 15)) {
  process.stderr.write(
    `cvops needs Node 22.15 or newer, this is ${process.versions.node}; in a checkout run: npx cvops …\n`,
  );
  process.exit(2);
}

// Half of a short command's time is compiling what it imports; Node keeps that between runs.
const { enableCompileCache } = await import('node:module');
enableCompileCache();

const { main } = await import('../dist/cli/main.js');
await main(process.argv);
