import { rm } from 'node:fs/promises';
import path from 'node:path';
import { startFauxqs } from 'fauxqs';
import type { TestProject } from 'vitest/node';
import type { Ports } from '../../src/embedded/ports.js';
import { startStack } from '../../src/embedded/stack.js';
import { projectRoot } from '../../src/projectRoot.js';
import type { StackAddresses } from '../../src/settings.js';
import { Client, Connection } from '@temporalio/client';
import { scheduleIds } from '../../src/domain/naming.js';
import { ALERT_SECRET, startAlertReceiver } from './alertReceiver.js';
import { writeTestsToken } from './principals.js';
import { recordedPackages } from './recordedPackages.js';

declare module 'vitest' {
  interface ProvidedContext {
    stack: { readonly home: string; readonly addresses: StackAddresses; readonly ports: Ports };
    /** What a command needs to find the S3 server that the workers use. */
    s3: Readonly<Record<string, string>>;
    /** `CVOPS_SOURCE_PLACES` of the workers: a folder and a bucket. */
    sourcePlaces: string;
    /** Whom the workers tell of alerts. */
    alertReceiver: string;
  }
}

/** Another one lets two checkouts test on one machine. */
const PORT_OFFSET = Number(process.env['CVOPS_TEST_PORT_OFFSET'] ?? 13_000);

/**
 * One whole embedded stack for all integration tests of a project, as `cvops up` starts it, in a home of its own. It needs
 * `dist/` (`npm test` builds it): the workers and the emulator run as the processes they are.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const second = project.name === 'second';
  const home = path.join(projectRoot, '.cvops', second ? 'test-home-second' : 'test-home');
  if (!second) {
    await rm(recordedPackages, { recursive: true, force: true });
    process.env['CVOPS_RECORD_PACKAGES'] = recordedPackages;
  }
  // Phoenix takes some 200 spans a second and a core: those of every test's every step would hold up all of them.
  process.env['CVOPS_TRACE_OPERATIONS'] = 'off';
  process.env['CVOPS_VENV'] ??= path.join(projectRoot, '.cvops', 'venv');
  const s3 = await startFauxqs({ port: 0, logger: false });
  const s3Variables = {
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${s3.port}`,
    AWS_ACCESS_KEY_ID: 'tests',
    AWS_SECRET_ACCESS_KEY: 'tests',
  };
  Object.assign(process.env, s3Variables);
  const sourcePlaces = `${home}/places/{tenant}/,s3://places/{tenant}/`;
  const receiver = await startAlertReceiver();
  Object.assign(process.env, {
    CVOPS_ALERT_WEBHOOK: receiver.url.href,
    CVOPS_ALERT_WEBHOOK_SECRET: 'env:CVOPS_TEST_ALERT_SECRET',
    CVOPS_TEST_ALERT_SECRET: ALERT_SECRET,
    CVOPS_ALLOWED_PRIVATE_HOSTS: receiver.url.host,
    CVOPS_SOURCE_PLACES: sourcePlaces,
  });
  const stack = await startStack({
    home,
    portOffset: PORT_OFFSET + (second ? 10_000 : 0),
    log: (line) => process.stderr.write(`stack: ${line}\n`),
    env: {},
  });
  await writeTestsToken(home);
  project.provide('stack', { home, addresses: stack.addresses, ports: stack.ports });
  project.provide('s3', s3Variables);
  project.provide('sourcePlaces', sourcePlaces);
  project.provide('alertReceiver', receiver.url.href);
  await pauseHealth(stack.addresses.temporalAddress);
  return async () => {
    await stack.stop();
    await receiver.stop();
    await s3.stop();
  };
}

/** Tests look when they want to: a look at all tenants of all tests, in the middle of one, would only cost time. */
async function pauseHealth(address: string): Promise<void> {
  const connection = await Connection.connect({ address });
  await new Client({ connection }).schedule.getHandle(scheduleIds.system.health).pause('tests look by hand');
  await connection.close();
}
