import type { TenantId } from '../../../src/domain/ids.js';
import { tenantSchemaName } from '../../../src/domain/naming.js';
import { BASE_SCHEMAS } from '../../../src/domain/profiles.js';
import { VespaStandIn } from './vespa.js';

/** Written by the one writer, beside the schemas. */
const OURS = ['services.xml', 'cvops/revision.json', 'validation-overrides.xml'];

/**
 * An application that somebody else made before: its own services.xml, files of its own, and for each tenant a schema
 * with a document, whose name ends in the tenant's id and which no registry knows.
 */
export class ForeignApplication {
  readonly vespa: VespaStandIn;
  private readonly schemas: readonly string[];
  private readonly files: ReadonlyMap<string, Buffer>;
  private readonly content: string;
  /** Names that tenants' schemas may have. */
  private readonly tenantSchemas: ReadonlySet<string>;

  constructor(tenants: readonly TenantId[]) {
    this.schemas = tenants.map((tenant, i) => `legacy${i}_${tenant}`);
    this.tenantSchemas = new Set(
      tenants.flatMap((tenant) => BASE_SCHEMAS.map((base) => tenantSchemaName(base, tenant))),
    );
    this.files = new Map([
      ['services.xml', Buffer.from(services(this.schemas))],
      ['hosts.xml', Buffer.from('<hosts/>')],
      ['search/query-profiles/default.xml', Buffer.from('<query-profile id="default"/>\n')],
      ...this.schemas.map((name) => [`schemas/${name}.sd`, Buffer.from(`schema ${name} { }`)] as const),
    ]);
    this.vespa = new VespaStandIn(this.files);
    for (const name of this.schemas) this.vespa.putDocument(name, 'theirs', Buffer.from('{}'));
    this.content = this.contents();
  }

  /** @returns what of it is not as it was, byte for byte */
  damage(): string | undefined {
    const now = this.vespa.package;
    for (const [path, bytes] of this.files)
      if (path !== 'services.xml' && !(now.get(path)?.equals(bytes) ?? false)) return path;
    for (const path of now.keys()) {
      const schema = /^schemas\/(.+)\.sd$/.exec(path)?.[1] ?? '';
      if (!this.files.has(path) && !OURS.includes(path) && !this.tenantSchemas.has(schema)) return path;
    }
    const kept = now
      .get('services.xml')!
      .toString()
      .split('\n')
      .filter(
        (line) => !this.tenantSchemas.has(/^ *<document type="(.+)" mode="index"\/>$/.exec(line)?.[1] ?? ''),
      );
    if (kept.join('\n') !== this.files.get('services.xml')!.toString()) return 'services.xml';
    return this.contents() === this.content ? undefined : 'documents';
  }

  private contents(): string {
    return JSON.stringify(this.schemas.map((name) => this.vespa.contentOf(name)));
  }
}

function services(schemas: readonly string[]): string {
  return `<?xml version="1.0" encoding="utf-8" ?>
<services version="1.0">
  <!-- not a mapping: <document type="gone" mode="index"/> -->
  <content id='elsewhere' version="1.0">
    <redundancy>2</redundancy>
    <documents  garbage-collection="false">
${schemas.map((name) => `\t<document mode="index" type="${name}" />\n`).join('')}    </documents>
  </content>
</services>
`;
}
