// Checks docker-compose.yml without a container engine: `npm run check:compose`.
//
//   1. dclint: the compose schema and good practice.
//   2. Our own rules: loopback ports, pinned images, health checks, and an .env.example that names what is published.
//   3. compose-go, the loader of Docker Compose itself, where there is a Go toolchain to build it.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const composeFile = path.join(root, 'docker-compose.yml');
const envFile = path.join(root, '.env.example');
const require = createRequire(import.meta.url);
const problems = [];

const dclint = path.join(path.dirname(require.resolve('dclint/package.json')), 'bin', 'dclint.cjs');
const linted = spawnSync(process.execPath, [dclint, '--max-warnings', '0', composeFile], {
  stdio: 'inherit',
});
if (linted.status !== 0) problems.push('dclint found the problems above');

checkRules();
checkWithComposeGo();

for (const problem of problems) console.error(`docker-compose.yml: ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;

function checkRules() {
  // The YAML reader that dclint brings.
  const { parse } = createRequire(require.resolve('dclint/package.json'))('yaml');
  const { services } = parse(readFileSync(composeFile, 'utf8'));
  const published = new Set();
  for (const [name, service] of Object.entries(services)) {
    if (!/:\S*\d+\.\d+/.test(service.image)) problems.push(`${name}: pin the version of ${service.image}`);
    if (!service.healthcheck) problems.push(`${name}: has no health check`);
    for (const port of service.ports ?? []) {
      const [host, outside] = port.split(':');
      if (host !== '127.0.0.1') problems.push(`${name}: port ${port} is not on loopback only`);
      published.add(`${host}:${outside}`);
    }
  }
  const env = readFileSync(envFile, 'utf8');
  const named = [...env.matchAll(/^(\w+)=\S*?(127\.0\.0\.1:\d+)/gm)];
  if (named.length < 6) problems.push(`.env.example names only ${named.length} addresses`);
  for (const [, variable, address] of named) {
    if (!published.has(address))
      problems.push(`.env.example: nothing is published on ${variable}=${address}`);
  }
  console.log(`rules: ${Object.keys(services).length} services, ${named.length} addresses`);
}

function checkWithComposeGo() {
  if (spawnSync('go', ['version']).status !== 0) {
    console.log('compose-go: no Go toolchain here, left out');
    return;
  }
  const tools = path.join(root, '.cvops', 'tools');
  const program = path.join(tools, 'check-compose');
  mkdirSync(tools, { recursive: true });
  execFileSync('go', ['build', '-o', program, '.'], {
    cwd: path.join(root, 'scripts', 'check-compose'),
    stdio: 'inherit',
  });
  if (spawnSync(program, [composeFile, envFile], { stdio: 'inherit' }).status !== 0)
    problems.push('compose-go refuses it, see above');
}
