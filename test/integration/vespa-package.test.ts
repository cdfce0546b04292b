import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { tenantSchemaName } from '../../src/domain/naming.js';
import { BASE_SCHEMAS, type BaseSchema } from '../../src/domain/profiles.js';
import { type PackageRequest, deployRequests, sdFile } from '../../src/vespa/application.js';
import type { ConfigServer } from '../../src/vespa/configServer.js';
import { generateSd } from '../../src/vespa/package/sd.js';
import { mappedSchemas } from '../../src/vespa/package/services.js';
import { loadSchema } from '../../src/vespa/schemaFiles.js';
import { type Package, RecordedConfigServer } from '../support/recordedConfigServer.js';
import { type Verdict, VespaChecker, checkerPresent } from '../support/vespaChecker.js';

/**
 * Every package that the product deploys, judged by Vespa's own model and change validators: alone, and against the
 * package it replaces. The packages are made as in production, by `deployRequests` against a config server, and read
 * back from what that server then has active.
 */
// The reporter says only that a file was skipped, not why.
if (!checkerPresent)
  process.stderr.write(
    'skipped: generated packages against the real Vespa model; no vespa-check (VESPA_CHECK names it)\n',
  );

const OVERRIDES = 'validation-overrides.xml';
const REMOVAL_ALLOWED = />\s*schema-removal\s*<\/allow>/;

describe.skipIf(!checkerPresent)('packages pass the real Vespa model', () => {
  let vespa: VespaChecker;
  let running: RecordedConfigServer | undefined;

  beforeAll(async () => {
    vespa = await VespaChecker.start();
  });
  afterEach(async () => {
    await running?.close();
  });
  afterAll(() => vespa.close());

  /** A config server with nothing deployed. */
  async function emptyServer(): Promise<ConfigServer> {
    running = await RecordedConfigServer.start();
    return running.client();
  }

  const validate = (files: Package, previous?: Package): Promise<Verdict> => vespa.validate(files, previous);

  async function deploy(server: ConfigServer, ...requests: PackageRequest[]): Promise<Package> {
    const { outcomes, deploys } = await deployRequests(server, requests);
    expect(outcomes.filter(({ ok }) => !ok)).toEqual([]);
    expect(deploys).toBe(1);
    return activePackage(server);
  }

  it('for one tenant, then three with every schema, an addition, a removal, and the deploy after it', async () => {
    const server = await emptyServer();
    const one = await deploy(server, putting('acme_corp', ['video_colpali_smol500_mv_frame']));
    expect(schemasOf(one)).toEqual(['video_colpali_smol500_mv_frame_acme_corp']);
    expect(await validate(one)).toMatchObject({ status: 0 });

    // Three tenants in one package, two of them with ids that a look at name endings would mix up.
    const three = await deploy(
      server,
      putting('acme_corp', BASE_SCHEMAS),
      putting('corp', BASE_SCHEMAS),
      putting('globex_inc', BASE_SCHEMAS),
    );
    expect(schemasOf(three)).toHaveLength(12);
    expect(await validate(three, one)).toMatchObject({ status: 0 });

    const added = await deploy(server, putting('initech', ['agent_memories']));
    expect(schemasOf(added)).toEqual([...schemasOf(three), 'agent_memories_initech'].toSorted());
    expect(added.has(OVERRIDES)).toBe(false);
    expect(await validate(added, three)).toMatchObject({ status: 0 });

    const removed = await deploy(server, taking('corp', BASE_SCHEMAS));
    expect(schemasOf(removed)).toEqual(
      schemasOf(added).filter((name) => !namesOf('corp', BASE_SCHEMAS).includes(name)),
    );
    expect(textOf(removed, OVERRIDES)).toMatch(REMOVAL_ALLOWED);
    expect(await validate(removed, added)).toMatchObject({ status: 0 });

    // The same change without the override: were the validator not looking, all of the above would prove nothing.
    const refused = await validate(without(removed, OVERRIDES), added);
    expect(refused.status).toBe(1);
    for (const name of namesOf('corp', BASE_SCHEMAS)) expect(refused.text).toContain(`Schema '${name}'`);
    expect(refused.text).toContain('schema-removal');

    const after = await deploy(server, putting('initech', ['video_videoprism_base_mv_chunk_30s']));
    expect(after.has(OVERRIDES)).toBe(false);
    expect(await validate(after, removed)).toMatchObject({ status: 0 });
    // So a schema that a later deploy forgets is refused; under the former package's override it would be dropped.
    const last = sdFile('video_videoprism_base_mv_chunk_30s_initech');
    const forgetful = new Map([...without(after, last), ['services.xml', removed.get('services.xml')!]]);
    expect(await validate(forgetful, after)).toMatchObject({ status: 1 });
  });

  it('for three tenants with every schema as the first package of all', async () => {
    const server = await emptyServer();
    const first = await deploy(
      server,
      ...['acme_corp', 'globex_inc', 'initech'].map((tenant) => putting(tenant, BASE_SCHEMAS)),
    );
    expect(schemasOf(first)).toHaveLength(12);
    expect(await validate(first)).toMatchObject({ status: 0 });
  });

  it("inside somebody else's application, whose files all stay as they were", async () => {
    const server = await emptyServer();
    await server.prepareAndActivate(THEIRS);
    expect(await validate(THEIRS)).toMatchObject({ status: 0 });

    const added = await deploy(server, putting('acme_corp', BASE_SCHEMAS));
    expect(schemasOf(added)).toEqual(['ticket', ...namesOf('acme_corp', BASE_SCHEMAS)].toSorted());
    expect(await validate(added, THEIRS)).toMatchObject({ status: 0 });

    const removed = await deploy(server, taking('acme_corp', BASE_SCHEMAS));
    expect(schemasOf(removed)).toEqual(['ticket']);
    expect(await validate(removed, added)).toMatchObject({ status: 0 });
    // Their own dated line stands beside ours.
    expect(textOf(removed, OVERRIDES)).toContain(THEIR_ALLOW);
    expect(textOf(removed, OVERRIDES)).toMatch(REMOVAL_ALLOWED);

    // Our lines are out of services.xml again, so all of theirs is as it was but the override beside their own.
    for (const [name, body] of THEIRS)
      if (name !== OVERRIDES) expect([name, textOf(removed, name)]).toEqual([name, body.toString('utf8')]);

    const after = await deploy(server, putting('globex_inc', ['agent_memories']));
    expect(textOf(after, OVERRIDES)).toBe(textOf(THEIRS, OVERRIDES));
    expect(await validate(after, removed)).toMatchObject({ status: 0 });
  });

  it('and a schema that is wrong is refused by it, in the text as in a rank expression', async () => {
    const server = await emptyServer();
    const good = await deploy(server, putting('acme_corp', ['agent_memories']));
    const sd = sdFile('agent_memories_acme_corp');
    const changed = (from: string, to: string): Package => {
      const text = textOf(good, sd);
      expect(text).toContain(from);
      return new Map([...good, [sd, Buffer.from(text.replaceAll(from, to))]]);
    };
    expect(await validate(changed('bm25(text)', 'bm25(user_id)'))).toMatchObject({ status: 2 });
    expect(await validate(changed('closeness(field, embedding)', 'closeness('))).toMatchObject({ status: 1 });
    expect(await validate(changed('tensor<float>(x[512])', 'tensor<float>(x[0])'))).toMatchObject({
      status: 1,
    });
  });
});

function namesOf(tenant: string, bases: readonly BaseSchema[]): string[] {
  return bases.map((base) => tenantSchemaName(base, parseTenantId(tenant)));
}

function putting(tenant: string, bases: readonly BaseSchema[]): PackageRequest {
  const put = bases.map((base) => {
    const name = tenantSchemaName(base, parseTenantId(tenant));
    return { name, sd: generateSd(name, loadSchema(base)) };
  });
  return { id: `put ${tenant}`, put, remove: [] };
}

function taking(tenant: string, bases: readonly BaseSchema[]): PackageRequest {
  return { id: `remove ${tenant}`, put: [], remove: namesOf(tenant, bases) };
}

async function activePackage(server: ConfigServer): Promise<Package> {
  const files = new Map<string, Buffer>();
  for (const name of await server.listFiles()) files.set(name, (await server.readFile(name))!);
  return files;
}

function textOf(files: Package, name: string): string {
  return files.get(name)?.toString('utf8') ?? '';
}

function without(files: Package, name: string): Package {
  return new Map([...files].filter(([other]) => other !== name));
}

/** Names of the schemas of a package, by file; the mappings of `services.xml` must name the same. */
function schemasOf(files: Package): string[] {
  const byFile = [...files.keys()]
    .filter((name) => name.startsWith('schemas/') && name.endsWith('.sd'))
    .map((name) => name.slice('schemas/'.length, -'.sd'.length))
    .toSorted();
  expect(mappedSchemas(textOf(files, 'services.xml')).toSorted()).toEqual(byFile);
  return byFile;
}

/** A date that the server accepts: at most 29 days ahead. */
const THEIR_ALLOW = `<allow until='${new Date(Date.now() + 10 * 86_400_000).toISOString().slice(0, 10)}'>indexing-change</allow>`;

/** An operator's own application: other clusters' names, comments, quotes and files that we know nothing of. */
const THEIRS: Package = new Map(
  Object.entries({
    'services.xml': `<?xml version='1.0' encoding='UTF-8'?>
<!-- <documents><document type="decoy" mode="index"/></documents> -->
<services version='1.0'>
  <container id='front' version='1.0'>
    <search/>
    <document-api/>
    <nodes><jvm options="-Xms256m -Xmx256m"/><node hostalias='node1'/></nodes>
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
`,
    'hosts.xml': `<hosts><host name='localhost'><alias>node1</alias></host></hosts>\n`,
    'schemas/ticket.sd': `schema ticket {
    document ticket {
        field subject type string { indexing: summary | index }
        field opened type long { indexing: summary | attribute }
    }
}
`,
    'search/query-profiles/default.xml': `<query-profile id='default'><field name='hits'>7</field></query-profile>\n`,
    'validation-overrides.xml': `<validation-overrides>\n    ${THEIR_ALLOW}\n</validation-overrides>\n`,
  }).map(([name, text]) => [name, Buffer.from(text)]),
);
