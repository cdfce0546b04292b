import type { LeakKind } from '../../src/domain/canaries.js';
import type { Member } from '../../src/isolation/member.js';
import type { Found, Ways } from '../../src/isolation/ways.js';

interface BlindWay {
  /** What goes unseen then, as the self-test names it. */
  readonly unseen: string;
  readonly kind: LeakKind;
  readonly ways: (ways: Ways, me: Member) => Partial<Ways>;
}

const ofMe = (found: readonly Found[], { token }: Member) => found.filter((each) => each.token === token);
const search: BlindWay['ways'] = (ways, me) => ({
  search: async (...of) => ofMe(await ways.search(...of), me),
});
const get: BlindWay['ways'] = (ways, me) => ({
  get: async (schema, of, signal) => of.token === me.token && ways.get(schema, of, signal),
});
const visit: BlindWay['ways'] = (ways, me) => ({
  visit: async (...of) => ofMe(await ways.visit(...of), me),
});

/** Each way of looking as one that sees nothing but the member's own, and a leak that the others do not make up for. */
export const BLIND_WAYS: readonly BlindWay[] = [
  { unseen: 'search', kind: 'document of another tenant', ways: search },
  { unseen: 'get', kind: 'schema of another tenant by its registry row', ways: get },
  { unseen: 'visit', kind: 'schema of another tenant by its registry row', ways: visit },
  { unseen: 'memory (search)', kind: 'memory of another tenant', ways: search },
  { unseen: 'memory (get)', kind: 'memory under the id of another tenant', ways: get },
  { unseen: 'memory (visit)', kind: 'memory under the id of another tenant', ways: visit },
  {
    unseen: 'memory (remember)',
    kind: 'memory under the id of another tenant',
    ways: (ways, me) => ({
      remember: async (...of) => (await ways.remember(...of)).filter((id) => id === me.incarnation),
    }),
  },
  {
    // Blind to canaries alone: what a span says of itself is still looked at.
    unseen: 'spans',
    kind: 'one Phoenix project for two tenants',
    ways: (ways, me) => ({
      spans: async (...of) =>
        (await ways.spans(...of)).filter(({ token }) => token === undefined || token === me.token),
    }),
  },
  {
    unseen: 'spans',
    kind: 'span of another tenant',
    ways: (ways) => ({
      spans: async (...of) => (await ways.spans(...of)).filter(({ token }) => token !== undefined),
    }),
  },
  {
    unseen: 'config',
    kind: 'configuration under another life',
    ways: (ways, me) => ({
      config: async (of) => (await ways.config(of)).filter((token) => token === me.token),
    }),
  },
];
