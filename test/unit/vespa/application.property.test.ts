import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type PackageRequest, deployRequests, sdFile } from '../../../src/vespa/application.js';
import { DeployError, UnknownOutcome } from '../../../src/vespa/configServer.js';
import { withoutRemovalAllowed } from '../../../src/vespa/package/overrides.js';
import { editServices, initialServices, mappedSchemas } from '../../../src/vespa/package/services.js';
import {
  type Fault,
  type Files,
  ScriptedConfigServer,
  javaHash,
} from '../../support/scriptedConfigServer.js';

/**
 * Any batches of ours, with somebody else's deploys and the server's failures at any of the calls: everybody's package is
 * at the end what each asked for, byte for byte.
 */

const SERVICES = 'services.xml';
const OVERRIDES = 'validation-overrides.xml';
const MARKER = 'cvops/revision.json';

/** What somebody else does to the package; `n` makes names and texts that are theirs alone. */
type Foreign =
  | { readonly kind: 'add' | 'remove' | 'file'; readonly n: number }
  | { readonly kind: 'overrides'; readonly text: string | undefined };
type Event = { readonly after: number } & (
  { readonly foreign: Foreign } | { readonly fault: 'conflict' | 'outage'; readonly done: boolean }
);

/** Ours: two of the names have one hash. */
const NAMES = ['frame_tAa', 'frame_tBB', 'frame_corp', 'frame_acme_corp', 'corp', 'm_acme'];
const THEIR_SERVICES = `<?xml version="1.0"?>\r\n<!-- <documents/> -->\r\n<services version='1.0'>\r\n  <container id="front" version="1.0"><search/><handler id='x' bundle='y'/></container>\r\n  <content id="support" version="1.0">\r\n    <documents>\r\n    </documents><!-- end -->\r\n  </content>\r\n</services>\r\n`;
const theirOverride = (id: string) =>
  `<validation-overrides>\r\n\t<allow until='2026-03-09'>${id}</allow>\r\n</validation-overrides>\r\n`;

const text = fc.constantFrom('one', 'two', 'broken');
const put = fc.uniqueArray(fc.tuple(fc.constantFrom(...NAMES), text), {
  selector: ([name]) => name,
  maxLength: 2,
});
const remove = fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 2 });
/** One that does both comes alone: beside others, what it makes room for would depend on how they are tried. */
const requests = fc.oneof(
  fc.array(
    fc.oneof(fc.record({ put, remove: fc.constant([]) }), fc.record({ put: fc.constant([]), remove })),
    {
      minLength: 1,
      maxLength: 6,
    },
  ),
  fc.tuple(fc.record({ put, remove })),
);
const foreign: fc.Arbitrary<Foreign> = fc.oneof(
  fc.record({ kind: fc.constantFrom('add', 'remove', 'file'), n: fc.nat(3) }),
  fc.record({
    kind: fc.constant('overrides' as const),
    text: fc.constantFrom(undefined, theirOverride('indexing-change'), theirOverride('field-type-change')),
  }),
);
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ after: fc.nat(30), foreign }),
  fc.record({
    after: fc.nat(30),
    fault: fc.constantFrom('conflict', 'outage'),
    done: fc.boolean(),
  }),
);
const batch = fc.record({
  requests,
  events: fc.array(event, { maxLength: 6 }),
});

/** The package that the others would have without us. */
class Theirs {
  files: Files | undefined;
  private revision = 0;

  apply(change: Foreign): (files: Files) => void {
    const revision = ++this.revision;
    const first = this.files === undefined;
    const edit = (files: Files): void => {
      if (first && !files.has(SERVICES)) files.set(SERVICES, Buffer.from(THEIR_SERVICES));
      const services = files.get(SERVICES)!.toString('utf8');
      const name = 'n' in change ? `theirs_${change.n}` : '';
      switch (change.kind) {
        case 'add':
          files.set(sdFile(name), Buffer.from(`schema ${name} {\r\n# ${revision}\r\n}`));
          files.set(SERVICES, Buffer.from(editServices(services, { add: [name], remove: [] })));
          return;
        case 'remove':
          files.delete(sdFile(name));
          files.set(SERVICES, Buffer.from(editServices(services, { add: [], remove: [name] })));
          return;
        case 'file':
          files.set(`components/${change.n}.jar`, Buffer.from([0, 255, 13, 10, revision]));
          return;
        case 'overrides':
          if (change.text === undefined) files.delete(OVERRIDES);
          else files.set(OVERRIDES, Buffer.from(change.text));
      }
    };
    return edit;
  }
}

class World {
  readonly server = new ScriptedConfigServer();
  readonly theirs = new Theirs();
  /** Text of each schema of ours that an accepted request has put. */
  ours = new Map<string, string>();
  private count = 0;

  deployAsOther(change: Foreign): void {
    const edit = this.theirs.apply(change);
    // Who begins the application decides what else is in it.
    this.theirs.files ??= new Map(
      this.server.active === undefined
        ? []
        : [SERVICES, 'hosts.xml'].map((path) => [
            path,
            Buffer.from(path === SERVICES ? initialServices([]) : this.server.text(path)!),
          ]),
    );
    edit(this.theirs.files);
    this.server.deployAsOther(edit);
  }

  async run({ requests: drawn, events }: { requests: readonly DrawnRequest[]; events: readonly Event[] }) {
    const requests = compatible(drawn).map((request): PackageRequest => ({
      ...request,
      id: `r${this.count++}`,
    }));
    const waiting = [...events];
    let calls = 0;
    this.server.script = (): Fault | undefined => {
      const next = waiting[0];
      if (next === undefined || calls++ < next.after) return undefined;
      calls = 0;
      waiting.shift();
      if ('foreign' in next) {
        this.deployAsOther(next.foreign);
        return undefined;
      }
      return next.fault === 'outage'
        ? { error: new UnknownOutcome('504'), done: next.done }
        : { error: new DeployError(409, 'APPLICATION_LOCK_FAILURE', 'locked'), done: false };
    };
    const before = this.server.activations;
    const result = await deployRequests(this.server, requests, { pause: async () => undefined });
    this.server.script = () => undefined;
    expect(result.deploys).toBe(this.server.activations - before);

    const accepted = acceptable(requests, this.ours);
    expect(result.outcomes.map(({ id, ok }) => [id, ok])).toEqual(
      requests.map((request) => [request.id, accepted.includes(request)]),
    );
    this.ours = after(this.ours, accepted);
    this.check();
  }

  private check(): void {
    const { server, theirs, ours } = this;
    const active = new Map(server.active ?? []);
    if (active.size === 0) {
      expect(ours.size).toBe(0);
      expect(theirs.files).toBeUndefined();
      return;
    }
    for (const [name, sd] of ours) {
      expect([name, active.get(sdFile(name))?.toString('utf8')]).toEqual([name, sd]);
      active.delete(sdFile(name));
    }
    const services = active.get(SERVICES)!.toString('utf8');
    expect(mappedSchemas(services)).toHaveLength(new Set(mappedSchemas(services)).size);
    expect(
      mappedSchemas(services)
        .filter((name) => NAMES.includes(name))
        .toSorted(),
    ).toEqual([...ours.keys()].toSorted());
    active.set(SERVICES, Buffer.from(editServices(services, { add: [], remove: NAMES })));
    // Our line may stand until the next deploy; it is the only one.
    const overrides = withoutRemovalAllowed(active.get(OVERRIDES)?.toString('utf8'));
    if (overrides === undefined) active.delete(OVERRIDES);
    else active.set(OVERRIDES, Buffer.from(overrides));
    active.delete(MARKER);
    const expected =
      theirs.files ??
      new Map([
        [SERVICES, Buffer.from(initialServices([]))],
        ['hosts.xml', active.get('hosts.xml')!],
      ]);
    expect(printed(active)).toEqual(printed(expected));
  }
}

type DrawnRequest = { readonly put: readonly [string, string][]; readonly remove: readonly string[] };

/** Without what one package cannot do: names in two requests, or put and removed. */
function compatible(drawn: readonly DrawnRequest[]): Omit<PackageRequest, 'id'>[] {
  const used = new Set<string>();
  const fresh = (name: string): boolean => !used.has(name) && used.add(name) !== undefined;
  return drawn.map(({ put, remove }) => ({
    put: put.filter(([name]) => fresh(name)).map(([name, body]) => ({ name, sd: `schema ${name} ${body}` })),
    remove: remove.filter(fresh),
  }));
}

/** All, when they go together; else each that goes with those before it, pure removals first. */
function acceptable(requests: readonly PackageRequest[], ours: Map<string, string>): PackageRequest[] {
  const valid = (set: readonly PackageRequest[]): boolean => {
    const schemas = after(ours, set);
    const hashes = new Set([...schemas.keys()].map(javaHash));
    return hashes.size === schemas.size && ![...schemas.values()].some((sd) => sd.includes('broken'));
  };
  if (valid(requests)) return [...requests];
  const accepted: PackageRequest[] = [];
  for (const request of requests.toSorted((a, b) => Math.sign(b.remove.length) - Math.sign(a.remove.length)))
    if (valid([...accepted, request])) accepted.push(request);
  return accepted;
}

function after(ours: Map<string, string>, requests: readonly PackageRequest[]): Map<string, string> {
  const schemas = new Map(ours);
  for (const name of requests.flatMap(({ remove }) => remove)) schemas.delete(name);
  for (const { name, sd } of requests.flatMap(({ put }) => put)) schemas.set(name, sd);
  return schemas;
}

function printed(files: Files): Record<string, string> {
  return Object.fromEntries([...files].toSorted().map(([path, body]) => [path, body.toString('latin1')]));
}

it('each has what he asked for, whatever comes between', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(foreign, { maxLength: 3 }),
      fc.array(batch, { minLength: 1, maxLength: 4 }),
      async (first, batches) => {
        const world = new World();
        for (const change of first) world.deployAsOther(change);
        for (const next of batches) await world.run(next);
      },
    ),
    { numRuns: 2000 },
  );
});
