import { vi } from 'vitest';

/**
 * The two seams of these tests. HTTP of the Vespa clients ends in memory; and there is one more base schema, which is
 * another one's name without its last word, so that two tenants can want the same physical name.
 */

vi.mock(import('../../../src/vespa/http.js'), async (original) => ({
  ...(await original()),
  call: (await import('./hosts.js')).call,
}));

vi.mock(import('../../../src/vespa/feeding/transport.js'), async (original) => {
  const real = await original();
  const { call } = await import('./hosts.js');
  class InMemory extends real.Transport {
    private readonly url: string;

    constructor(...args: ConstructorParameters<typeof real.Transport>) {
      super(...args);
      [this.url] = args;
    }

    override send(...[method, path, body, signal]: Parameters<InstanceType<typeof real.Transport>['send']>) {
      return call(method, `${this.url}${path}`, { ...(body && { body }), signal });
    }
  }
  return { ...real, Transport: InMemory };
});

vi.mock(import('../../../src/domain/profiles.js'), async (original) => {
  const real = await original();
  const { MV, FRAME } = await import('./names.js');
  return {
    ...real,
    // The types list the profiles one by one.
    PROFILE_NAMES: [...real.PROFILE_NAMES, MV] as unknown as typeof real.PROFILE_NAMES,
    BASE_SCHEMAS: [...real.BASE_SCHEMAS, MV] as unknown as typeof real.BASE_SCHEMAS,
    PROFILES: { ...real.PROFILES, [MV]: { ...real.PROFILES[FRAME], name: MV } },
  };
});

vi.mock(import('../../../src/vespa/schemaFiles.js'), async (original) => {
  const real = await original();
  const { MV, FRAME } = await import('./names.js');
  return { ...real, loadSchema: (base) => real.loadSchema(base === MV ? FRAME : base) };
});
