// Replays the same requests against the emulator and against Vespa's own document/v1 handler (vespa-check), and compares
// status and JSON. `npm run check:vespa`; `-- --verbose` prints every difference whole.
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { zipSync } from 'fflate';
import { explain } from './differences.mjs';
import { send } from './http.mjs';
import { requests } from './requests.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const checker = process.env.VESPA_CHECK ?? path.resolve(root, '../shared/vespa-check');
const verbose = process.argv.includes('--verbose');
const only = process.argv.find((arg) => arg.startsWith('--group='))?.slice('--group='.length);

if (!existsSync(path.join(checker, 'run.sh'))) {
  console.log(`not compared: there is no vespa-check at ${checker} (set VESPA_CHECK)`);
  process.exit(0);
}

let realPort, port, configPort;
const scratch = mkdtempSync(path.join(tmpdir(), 'check-vespa-'));
const children = [];
let exitCode;
try {
  exitCode = await main();
} finally {
  for (const child of children) process.kill(-child.pid, 'SIGKILL');
  rmSync(scratch, { recursive: true, force: true });
}
process.exit(exitCode);

async function main() {
  const app = path.join(scratch, 'app');
  cpSync(path.join(import.meta.dirname, 'app'), app, { recursive: true });
  [realPort, port, configPort] = await Promise.all([freePort(), freePort(), freePort()]);
  start('bash', [path.join(checker, 'run.sh'), 'serve', app, String(realPort)]);
  start(process.execPath, [
    path.join(root, 'dist/src/embedded/vespa/main.js'),
    ...[
      '--port',
      String(port),
      '--config-port',
      String(configPort),
      '--data-dir',
      path.join(scratch, 'data'),
      '--convergence-ms',
      '0',
    ],
  ]);
  await answers(configPort, '/state/v1/health');
  await deploy(configPort, path.join(import.meta.dirname, 'app'));
  await answers(realPort, '/document/v1/ns/kinds/docid/none');

  let same = 0;
  const explained = new Map();
  const unexplained = [];
  for (const request of requests) {
    if (verbose) console.log(`… ${request.method} ${request.path.slice(0, 120)}`);
    const [real, ours] = [await outcome(realPort, request), await outcome(port, request)];
    if (only && request.group !== only) continue;
    if (real.status === ours.status && isDeepStrictEqual(real.body, ours.body)) {
      same++;
      continue;
    }
    const why = explain(request, real, ours);
    if (why) explained.set(why, (explained.get(why) ?? 0) + 1);
    else unexplained.push({ request, real, ours });
  }
  for (const { request, real, ours } of unexplained) {
    console.log(
      `DIFFERENT [${request.group}] ${request.method} ${request.path.slice(0, 160)} ${bodyText(request)}`,
    );
    console.log(`  real ${real.status} ${show(real.body)}`);
    console.log(`  ours ${ours.status} ${show(ours.body)}`);
  }
  console.log(`${requests.length} requests: ${same} answered alike`);
  for (const [why, count] of explained) console.log(`  ${count} × explained: ${why}`);
  console.log(
    `${same + [...explained.values()].reduce((a, b) => a + b, 0)} passed, ${unexplained.length} failed`,
  );
  return unexplained.length === 0 ? 0 : 1;
}

/** Status and what the body says, without what must differ: tokens, order of a visit, the address in the path. */
async function outcome(port, request) {
  const answer = await sendAgain(port, request);
  let parsed = parse(answer);
  if (request.next && Array.isArray(parsed?.documents)) {
    const documents = [...parsed.documents];
    for (let page = parsed, turns = 0; page.continuation && turns < request.next; turns++) {
      const joiner = request.path.includes('?') ? '&' : '?';
      const path = `${request.path}${joiner}continuation=${encodeURIComponent(page.continuation)}`;
      const answer = await send(port, { ...request, path }).catch((error) => ({
        headers: {},
        text: JSON.stringify({ broken: error.code, at: documents.length }),
      }));
      page = parse(answer);
      if (page.broken)
        console.log(
          `broken off on ${port === realPort ? 'real' : 'ours'} after ${documents.length}: ${page.broken}`,
        );
      documents.push(...(page.documents ?? []));
      if (!page.continuation) parsed = { ...parsed, continuation: undefined };
    }
    parsed = { pathId: parsed.pathId, documents: byId(documents), finished: true };
  }
  return { status: answer.status, body: normalize(parsed) };
}

/** On a busy machine a connection can be reset for no fault of the request's; what resets it thrice does so always. */
async function sendAgain(port, request) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send(port, request);
    } catch (error) {
      if (error.code !== 'ECONNRESET' || attempt === 3) return { status: error.code, headers: {}, text: '' };
    }
  }
}

function parse(answer) {
  const type = answer.headers['content-type'] ?? '';
  if (type.startsWith('application/jsonl')) {
    return {
      lines: answer.text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    };
  }
  try {
    return JSON.parse(answer.text, (_, value, context) =>
      typeof value === 'number' ? context.source : value,
    );
  } catch {
    return { text: answer.text.length === 0 ? '' : 'not JSON' };
  }
}

function normalize(body) {
  if (body === null || typeof body !== 'object') return body;
  if (body.lines) {
    const documents = byId(body.lines.filter((line) => line.put ?? line.remove));
    const last = body.lines.findLast((line) => line.continuation);
    const messages = body.lines.filter((line) => line.message);
    return { documents, complete: last !== undefined && last.continuation.token === undefined, messages };
  }
  const { continuation, ...rest } = body;
  if (Array.isArray(rest.documents)) rest.documents = byId(rest.documents);
  return continuation === undefined ? rest : { ...rest, continues: true };
}

function byId(documents) {
  const id = (document) => document.id ?? document.put ?? document.remove;
  return documents.toSorted((a, b) => (id(a) < id(b) ? -1 : 1));
}

function show(body) {
  const text = JSON.stringify(body);
  return verbose ? text : text.slice(0, 400);
}

function bodyText({ body, quiet }) {
  if (quiet || body === undefined) return '';
  return Buffer.isBuffer(body)
    ? '(bytes)'
    : (typeof body === 'string' ? body : JSON.stringify(body)).slice(0, 200);
}

function start(command, args) {
  const child = spawn(command, args, {
    stdio: ['ignore', 'ignore', verbose ? 'inherit' : 'ignore'],
    detached: true,
    cwd: scratch,
  });
  children.push(child);
}

async function answers(port, at) {
  for (let tries = 0; tries < 600; tries++) {
    try {
      await send(port, { method: 'GET', path: at });
      return;
    } catch {
      await delay(200);
    }
  }
  throw new Error(`nothing answers on port ${port}`);
}

async function deploy(port, folder) {
  const files = readdirSync(folder, { recursive: true }).filter((name) => /\.(xml|sd)$/.test(name));
  const zip = Buffer.from(
    zipSync(Object.fromEntries(files.map((name) => [name, readFileSync(path.join(folder, name))]))),
  );
  const answer = await send(port, {
    method: 'POST',
    path: '/application/v2/tenant/default/prepareandactivate',
    body: zip,
    headers: { 'content-type': 'application/zip' },
  });
  if (answer.status !== 200) throw new Error(`the emulator refused the package: ${answer.text}`);
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
