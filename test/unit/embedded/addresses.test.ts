import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  addressVariables,
  chooseAddresses,
  chooseDatabase,
  externalServices,
} from '../../../src/embedded/addresses.js';
import { choosePorts } from '../../../src/embedded/ports.js';
import { servicesFor } from '../../../src/embedded/services/index.js';
import { loadSettings } from '../../../src/settings.js';

const home = mkdtempSync(path.join(os.tmpdir(), 'cvops-addresses-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));
const ports = choosePorts({ offset: 100 }, {});
const chosen = async (env: NodeJS.ProcessEnv) =>
  chooseAddresses(ports, await chooseDatabase(home, ports, env), env);

describe('addresses', () => {
  it('are local, on the chosen ports, with a password that stays the same', async () => {
    const addresses = await chosen({});
    expect(addresses).toEqual({
      temporalAddress: '127.0.0.1:7333',
      temporalUiUrl: 'http://127.0.0.1:8333',
      databaseUrl: expect.stringMatching(
        /^postgresql:\/\/cvops_app:[\w-]{32}@127\.0\.0\.1:5533\/cvops$/,
      ) as string,
      phoenixUrl: 'http://127.0.0.1:6106',
      vespaUrl: 'http://127.0.0.1:8180',
      vespaConfigUrl: 'http://127.0.0.1:19171',
    });
    expect(await chosen({})).toEqual(addresses);
  });

  it('of the database: the owner is another user than the application, or who the environment says', async () => {
    const { owner, app } = await chooseDatabase(home, ports, {});
    const [theirs, ours] = [new URL(owner), new URL(app)];
    expect([theirs.username, ours.username, ours.host]).toEqual(['postgres', 'cvops_app', theirs.host]);
    expect(theirs.password).not.toBe(ours.password);

    const given = { DATABASE_URL: 'postgresql://ops@db.example/ops' };
    expect(await chooseDatabase(home, ports, given)).toEqual({
      app: given.DATABASE_URL,
      owner: given.DATABASE_URL,
    });
    const separate = { ...given, CVOPS_OWNER_DATABASE_URL: 'postgresql://owner@db.example/ops' };
    expect((await chooseDatabase(home, ports, separate)).owner).toBe(separate.CVOPS_OWNER_DATABASE_URL);
  });

  it('come from the environment where it names servers, and empty variables name none', async () => {
    const env = {
      TEMPORAL_ADDRESS: 'temporal.example:7233',
      TEMPORAL_UI_URL: 'https://temporal.example/',
      DATABASE_URL: 'postgresql://ops@db.example/ops',
      PHOENIX_URL: '',
      VESPA_URL: 'http://vespa.example:8080/',
      VESPA_CONFIG_URL: 'http://vespa.example:19071',
    };
    expect(externalServices(env)).toEqual(new Set(['postgres', 'temporal', 'vespa']));
    expect(await chosen(env)).toEqual({
      temporalAddress: 'temporal.example:7233',
      temporalUiUrl: 'https://temporal.example',
      databaseUrl: 'postgresql://ops@db.example/ops',
      phoenixUrl: 'http://127.0.0.1:6106',
      vespaUrl: 'http://vespa.example:8080',
      vespaConfigUrl: 'http://vespa.example:19071',
    });
  });

  it('of Vespa come in pairs', () => {
    expect(() => externalServices({ VESPA_URL: 'http://vespa.example' })).toThrow(
      /VESPA_URL and VESPA_CONFIG_URL go together/,
    );
  });

  it('reach a worker as the settings it reads', async () => {
    const addresses = await chosen({});
    expect(loadSettings({ ...addressVariables(addresses), CVOPS_HOME: home })).toMatchObject(addresses);
  });
});

describe('servicesFor', () => {
  it('adds what the named ones need, in the order of their start', () => {
    expect(servicesFor(['phoenix']).map(({ name }) => name)).toEqual(['postgres', 'phoenix']);
    expect(servicesFor(undefined).map(({ name }) => name)).toEqual([
      'postgres',
      'temporal',
      'phoenix',
      'vespa',
      'worker-control',
      'worker-data',
    ]);
  });
});
