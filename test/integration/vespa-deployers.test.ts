import { zipSync } from 'fflate';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { tenantSchemaName } from '../../src/domain/naming.js';
import { type PackageRequest, deployRequests, sdFile } from '../../src/vespa/application.js';
import { ConfigServer, DeployError } from '../../src/vespa/configServer.js';
import { generateSd } from '../../src/vespa/package/sd.js';
import { editServices, mappedSchemas } from '../../src/vespa/package/services.js';
import { loadSchema } from '../../src/vespa/schemaFiles.js';
import { type Package, RecordedConfigServer } from '../support/recordedConfigServer.js';
import { VespaChecker, checkerPresent } from '../support/vespaChecker.js';

/**
 * Several writers of one application at once, over HTTP. What each of them deployed is there at the end, and each package
 * on the way is one that Vespa's own model takes after its predecessor (where that is at hand).
 */

const SERVICES = 'services.xml';
const OVERRIDES = 'validation-overrides.xml';
const BUNDLE = 'components/searcher.jar';
const crlf = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'));

/** An operator's application with what we never write: CRLF, comments, more clusters' elements, files of all kinds. */
const THEIRS: Package = new Map([
  [
    SERVICES,
    crlf(`<?xml version='1.0' encoding='UTF-8'?>
<!-- <documents><document type="decoy" mode="index"/></documents> -->
<services version='1.0'>
  <admin version='2.0'><adminserver hostalias='node1'/></admin>
  <container id='front' version='1.0'>
    <search><!-- <chain id='old'/> --></search>
    <document-api/>
    <nodes>\t<jvm options="-Xms256m -Xmx256m"/><node hostalias='node1'/></nodes>
  </container>
  <content id='support' version='1.0'>
    <redundancy>1</redundancy>
    <documents>
      <document  type='ticket'
                 mode='index' /><!-- since 2021 -->
    </documents>
    <nodes><node hostalias='node1' distribution-key='0'/></nodes>
  </content>
</services>
`),
  ],
  ['hosts.xml', crlf(`<hosts><host name='localhost'><alias>node1</alias></host></hosts>\n`)],
  [sdFile('ticket'), crlf(ticketSd('ticket'))],
  [BUNDLE, bundle(0)],
  ['files/weights.bin', Buffer.from(Array.from({ length: 256 }, (_, n) => n))],
  [
    'search/query-profiles/default.xml',
    crlf(`<query-profile id='default'><field name='hits'>7</field></query-profile>\n`),
  ],
  [
    'search/query-profiles/types/root.xml',
    Buffer.from(`<query-profile-type id='root' inherits='native'/>\n\n\n`),
  ],
]);

describe('writers of one application', () => {
  let server: RecordedConfigServer;
  let vespa: VespaChecker | undefined;

  beforeAll(async () => {
    if (checkerPresent) vespa = await VespaChecker.start();
    else process.stderr.write('no vespa-check here: the packages are judged by the emulator alone\n');
  });
  afterAll(() => vespa?.close());
  beforeEach(async () => {
    server = await RecordedConfigServer.start();
  });
  afterEach(async () => {
    const { packages } = server;
    await server.close();
    for (const [n, files] of packages.entries())
      expect([n, await vespa?.validate(files, packages[n - 1])]).toEqual([
        n,
        vespa && (expect.objectContaining({ status: 0 }) as unknown),
      ]);
  });

  it('two deployers at once, from the first package on: all of both is there, and what they removed is gone', async () => {
    const deployer = async (tenants: readonly string[]): Promise<number> => {
      const client = server.client();
      let deploys = 0;
      for (const [n, tenant] of tenants.entries()) {
        const previous = tenants[n - 1];
        const batches = [
          [putting(tenant)],
          ...(previous === undefined || n % 2 === 0 ? [] : [[taking(previous)]]),
        ];
        for (const batch of batches) {
          const result = await deployRequests(client, batch);
          expect(result.outcomes.map(({ ok }) => ok)).toEqual(batch.map(() => true));
          deploys += result.deploys;
        }
      }
      return deploys;
    };
    const deploys = await Promise.all([
      deployer(['aa', 'ab', 'ac', 'ad', 'ae']),
      deployer(['ba', 'bb', 'bc', 'bd', 'be']),
    ]);
    expect(schemasOf(server.active)).toEqual(['ab', 'ad', 'ae', 'bb', 'bd', 'be'].map(schemaOf).toSorted());
    expect(deploys[0] + deploys[1]).toBe(server.packages.length);
  });

  it('a writer of whole packages beside a deployer: nothing of either is lost', async () => {
    await server.client().prepareAndActivate(THEIRS);
    const theirs = new Map(THEIRS);
    const writer = async (): Promise<void> => {
      for (let n = 0; n < 8; n++) {
        const name = `ticket_${n}`;
        const files: Package = new Map([
          [sdFile(name), crlf(ticketSd(name))],
          [BUNDLE, bundle(n + 1)],
        ]);
        await deployWhole(server.client(), (active) => {
          for (const [path, body] of files) active.set(path, body);
          active.set(SERVICES, withMapping(active.get(SERVICES)!, name));
        });
        for (const [path, body] of files) theirs.set(path, body);
        theirs.set(SERVICES, withMapping(theirs.get(SERVICES)!, name));
      }
    };
    // Once at the worst of moments; then as it comes.
    let first: Promise<void> | undefined;
    const client = new (class extends ConfigServer {
      override async activate(session: string): Promise<number> {
        if (first === undefined) {
          const before = server.packages.length;
          first = writer();
          await expect.poll(() => server.packages.length, { interval: 1 }).toBeGreaterThan(before);
        }
        return super.activate(session);
      }
    })(server.url);
    let conflicts = 0;
    for (const batch of [
      [putting('acme'), putting('corp')],
      [putting('acme_corp'), taking('acme')],
      [putting('globex'), { id: 'bad', put: [{ name: 'bad', sd: 'schema bad {' }], remove: [] }],
      [taking('corp'), putting('initech')],
    ]) {
      const result = await deployRequests(client, batch);
      expect(result.outcomes.filter(({ ok }) => !ok).map(({ id }) => id)).toEqual(
        batch.map(({ id }) => id).filter((id) => id === 'bad'),
      );
      conflicts += result.conflicts;
    }
    await first;
    // Takes our override of the last removal out again.
    await deployRequests(server.client(), [putting('umbrella')]);
    expect(conflicts).toBeGreaterThan(0);

    const ours = ['acme_corp', 'globex', 'initech', 'umbrella'].map(schemaOf);
    expect(schemasOf(server.active).filter((name) => !name.startsWith('ticket'))).toEqual(ours.toSorted());
    for (const name of ours) expect(server.active.get(sdFile(name))?.toString('utf8')).toBe(sdOf(name));
    expect(printed(withoutOurs(server.active, ours))).toEqual(printed(theirs));
  });

  it('files that are none of ours stay byte for byte, through additions and a removal', async () => {
    await server.client().prepareAndActivate(THEIRS);
    const names = ['acme', 'corp'].map(schemaOf);
    await deployRequests(server.client(), [putting('acme'), putting('corp')]);
    expect(printed(withoutOurs(server.active, names))).toEqual(printed(THEIRS));
    await deployRequests(server.client(), [taking('acme'), taking('corp')]);
    expect(server.active.has(OVERRIDES)).toBe(true);
    await deployRequests(server.client(), [putting('acme')]);
    await deployRequests(server.client(), [taking('acme')]);
    const last = new Map(server.active);
    last.delete(OVERRIDES);
    last.delete('cvops/revision.json');
    expect(printed(last)).toEqual(printed(THEIRS));
  });
});

/**
 * A careful writer of whole packages: the server only guards what is activated after the upload, so that it looks itself
 * whether what it read is still active then.
 */
async function deployWhole(client: ConfigServer, edit: (files: Map<string, Buffer>) => void): Promise<void> {
  for (;;) {
    try {
      const base = await client.activeGeneration();
      const files = new Map<string, Buffer>();
      for (const name of await client.listFiles()) files.set(name, (await client.readFile(name))!);
      edit(files);
      const session = await client.createSession(files);
      if ((await client.activeGeneration()) !== base) continue;
      await client.prepare(session);
      await client.activate(session);
      return;
    } catch (error) {
      // Overtaken: 409, or 400 for a schema that was added meanwhile and looks removed, or half a package read.
      if (!(error instanceof DeployError) && !(error instanceof TypeError)) throw error;
    }
  }
}

function schemaOf(tenant: string): string {
  return tenantSchemaName('agent_memories', parseTenantId(tenant));
}

function sdOf(name: string): string {
  return generateSd(name, loadSchema('agent_memories'));
}

function putting(tenant: string): PackageRequest {
  const name = schemaOf(tenant);
  return { id: `put ${tenant}`, put: [{ name, sd: sdOf(name) }], remove: [] };
}

function taking(tenant: string): PackageRequest {
  return { id: `remove ${tenant}`, put: [], remove: [schemaOf(tenant)] };
}

/** A component's jar, as Vespa wants it: binary, with a manifest that names the bundle. */
function bundle(build: number): Buffer {
  const manifest = `Manifest-Version: 1.0\r\nBundle-ManifestVersion: 2\r\nBundle-Name: searcher\r\nBundle-SymbolicName: searcher\r\nBundle-Version: 1.0.${build}\r\n\r\n`;
  return Buffer.from(
    zipSync({
      'META-INF/MANIFEST.MF': Buffer.from(manifest),
      'a.class': Buffer.from([0xff, 0, 0x0d, 0x0a, build]),
    }),
  );
}

function ticketSd(name: string): string {
  return `schema ${name} {
    document ${name} {
        # whose it is
        field subject type string { indexing: summary | index }
        field opened type long { indexing: summary | attribute }
    }
}
`;
}

function withMapping(services: Buffer, name: string): Buffer {
  return Buffer.from(editServices(services.toString('utf8'), { add: [name], remove: [] }));
}

function withoutOurs(files: Package, names: readonly string[]): Package {
  const paths = ['cvops/revision.json', ...names.map(sdFile)];
  const rest = new Map([...files].filter(([path]) => !paths.includes(path)));
  const services = rest.get(SERVICES)!.toString('utf8');
  return rest.set(SERVICES, Buffer.from(editServices(services, { add: [], remove: names })));
}

function schemasOf(files: Package): string[] {
  const byFile = [...files.keys()]
    .filter((name) => name.startsWith('schemas/'))
    .map((name) => name.slice('schemas/'.length, -'.sd'.length));
  expect(mappedSchemas(files.get(SERVICES)!.toString('utf8')).toSorted()).toEqual(byFile.toSorted());
  return byFile.toSorted();
}

function printed(files: Package): Record<string, string> {
  return Object.fromEntries([...files].toSorted().map(([path, body]) => [path, body.toString('latin1')]));
}
