import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OpsError } from '../../../src/domain/errors.js';
import { checkUrl, classifyAddress, hostAndPort } from '../../../src/domain/urlGuard.js';

/** Everything that may be allowed is: what is refused here is refused for good. */
const ALL = ['0.0.0.0/0', '::/0', 'localhost', 'metadata.google.internal', 'metadata'];

function refusal(text: string, allowedPrivate: readonly string[] = []): OpsError {
  try {
    checkUrl(text, { allowedPrivate });
  } catch (error) {
    if (error instanceof OpsError) return error;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

/** 127.0.0.1 as people who want in write it. */
const LOOPBACK = [
  'http://127.0.0.1',
  'http://127.0.0.1:8080/x',
  'http://127.0.0.1.',
  'http://127.1',
  'http://127.0.1',
  'http://2130706433',
  'http://017700000001',
  'http://0177.0.0.1',
  'http://0177.0000.0000.0001',
  'http://0x7f000001',
  'http://0x7f.0.0.1',
  'http://0x7F.0x0.0x0.0x1',
  'http://0x7f.1',
  'http://127.0x1',
  'http://127.255.255.254',
  'http://%31%32%37.0.0.1',
  'http://127%2e0%2e0%2e1',
  'http://１２７.0.0.1',
  'http://127。0。0。1',
  'http://①②⑦.0.0.1',
  'http://[::1]',
  'http://[0:0:0:0:0:0:0:1]',
  'http://[0000::0001]',
  'http://[::ffff:127.0.0.1]',
  'http://[::ffff:7f00:1]',
  'http://[0:0:0:0:0:FFFF:7F00:0001]',
  'http://[::127.0.0.1]',
  'http://[::ffff:0:127.0.0.1]',
  'http://[64:ff9b::127.0.0.1]',
  'http://[64:ff9b:1::7f00:1]',
  'http://[2002:7f00:1::]',
  'http://[2002:7f00:0001::1]',
  'http://[2001:0:1::80ff:fffe]',
  'http://[fe80::5efe:127.0.0.1]',
  'http://[2606:4700::5efe:127.0.0.1]',
  'http://[2606:4700::200:5efe:7f00:1]',
];
const LOCAL_NAMES = [
  'http://localhost',
  'http://LOCALHOST:9',
  'http://localhost.',
  'http://a.b.localhost',
  'http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ',
  'http://loc%61lhost',
  'http://localhost.localdomain',
  'http://ip6-localhost',
  'http://vespa',
  'http://vespa.internal',
  'http://vespa.default.svc',
  'http://vespa.default.svc.cluster.local',
  'http://printer.lan',
  'http://router.home.arpa',
];
const PRIVATE = [
  'http://10.0.0.1',
  'http://10.255.255.255',
  'http://172.16.0.1',
  'http://172.31.255.255',
  'http://192.168.0.1',
  'http://0xc0a80001',
  'http://3232235521',
  'http://192.168.1',
  'http://[::ffff:10.0.0.1]',
  'http://[64:ff9b::a00:1]',
  'http://[2002:a00:1::]',
  'http://[fc00::1]',
  'http://[fd12:3456:789a::1]',
  'http://[fec0::1]',
];
const SHARED = ['http://100.64.0.1', 'http://100.127.255.255', 'http://1681915905'];
/** Refused whatever is allowed. */
const NEVER = [
  'http://169.254.169.254/latest/meta-data/',
  'http://169.254.169.254.',
  'http://2852039166',
  'http://0xa9fea9fe',
  'http://0251.0376.0251.0376',
  'http://169.254.43518',
  'http://0xa9.254.0251.254',
  'http://%31%36%39.254.169.254',
  'http://１６９.254.169.254',
  'http://169。254。169。254',
  'http://[::ffff:169.254.169.254]',
  'http://[::ffff:a9fe:a9fe]',
  'http://[::169.254.169.254]',
  'http://[64:ff9b::a9fe:a9fe]',
  'http://[2002:a9fe:a9fe::1]',
  'http://[fe80::1]',
  'http://[febf::1]',
  'http://[fd00:ec2::254]',
  'http://[fd20:ce::254]',
  'http://169.254.170.2/v2/credentials',
  'http://169.254.0.1',
  'http://100.100.100.200',
  'http://168.63.129.16',
  'http://192.0.0.192',
  'http://metadata.google.internal',
  'http://METADATA.google.internal.',
  'http://x.metadata.google.internal',
  'http://metadata.goog',
  'http://metadata',
  'http://instance-data.ec2.internal',
  'http://0.0.0.0',
  'http://0',
  'http://0x0',
  'http://0.1.2.3',
  'http://[::]',
  'http://[::ffff:0.0.0.0]',
  'http://224.0.0.1',
  'http://239.255.255.250',
  'http://[ff02::1]',
  'http://255.255.255.255',
  'http://4294967295',
  'http://240.0.0.1',
  'http://192.0.2.1',
  'http://198.18.0.1',
  'http://198.51.100.7',
  'http://203.0.113.9',
  'http://192.88.99.1',
  'http://[2001:db8::1]',
  'http://[100::1]',
  'http://[4000::1]',
  // Public inside, but a tunnel all the same.
  'http://[::ffff:8.8.8.8]',
  'http://[64:ff9b::8.8.8.8]',
  'http://[2002:808:808::1]',
];
const MALFORMED: [string, string][] = [
  ['ftp://example.com', 'http:// or https://'],
  ['file:///etc/passwd', 'http:// or https://'],
  ['gopher://127.0.0.1:25/', 'http:// or https://'],
  ['javascript:alert(1)', 'http:// or https://'],
  ['//example.com', 'http:// or https://'],
  ['example.com', 'http:// or https://'],
  ['http:example.com', 'http:// or https://'],
  ['http:/example.com', 'http:// or https://'],
  ['http:///example.com', 'http:// or https://'],
  ['', 'http:// or https://'],
  [' http://example.com', 'a space'],
  ['http://example.com\n', 'a space'],
  ['http://exa\tmple.com', 'a space'],
  ['http://example.com\\@127.0.0.1', 'a backslash'],
  ['http:\\\\example.com', 'a backslash'],
  ['http://example.com\0.evil.com', 'a control character'],
  ['http://user:secret@example.com', 'credentials'],
  ['http://secret@example.com', 'credentials'],
  ['http://@example.com', 'credentials'],
  ['http://:@example.com', 'credentials'],
  ['http://example.com#@127.0.0.1', 'fragment'],
  ['http://example.com/#', 'fragment'],
  ['http://example.com:99999', 'no URL'],
  ['http://[::1', 'no URL'],
  ['http://1.2.3.4.5', 'no URL'],
  ['http://256.1.1.1', 'no URL'],
  ['http://example.com:0', 'port 0'],
  ['http://-example.com', 'no usable name'],
  ['http://exa..mple.com', 'no usable name'],
  [`http://example.com/${'x'.repeat(2048)}`, 'over 2048'],
  // Public, but other parsers read other hosts here.
  ['http://0x08080808', 'usual form'],
  ['http://8.8.2056', 'usual form'],
  ['http://134744072', 'usual form'],
  ['http://010.8.8.8', 'usual form'],
  ['http://ex%61mple.com', 'usual form'],
  ['http://bücher.example', 'usual form'],
  ['http://example。com', 'usual form'],
  ['http://example.com:0443', 'usual form'],
  ['http://example.com:', 'usual form'],
];

describe('checkUrl', () => {
  it.each(LOOPBACK)('refuses %s: it leads to this machine', (text) => {
    expect(refusal(text)).toMatchObject({ type: 'InvalidInput' });
    expect(refusal(text).message).toMatch(/is a (loopback|link-local) address$/);
  });

  it.each(LOCAL_NAMES)('refuses %s: only a local resolver knows it', (text) => {
    expect(refusal(text).message).toContain('is a name of the local network');
  });

  it.each(PRIVATE)('refuses %s as private', (text) => {
    expect(refusal(text).message).toContain('is a private address');
  });

  it.each(SHARED)('refuses %s as shared', (text) => {
    expect(refusal(text).message).toContain('is a shared address');
  });

  it.each(NEVER)('refuses %s whatever is allowed', (text) => {
    expect(refusal(text, ALL)).toMatchObject({ type: 'InvalidInput', hint: undefined });
  });

  it.each(MALFORMED)('refuses %j', (text, reason) => {
    expect(refusal(text, ALL).message).toContain(reason);
    expect(refusal(text, ALL).message).not.toContain('secret');
  });

  it.each([
    'https://api.openai.com/v1',
    'https://API.openai.com:443/v1',
    'http://example.com:80',
    'https://example.com./x?y=1',
    'https://xn--bcher-kva.example/a%20b',
    'https://8.8.8.8',
    'https://172.32.0.1',
    'https://100.128.0.1',
    'https://11.0.0.1:8443',
    'https://[2606:4700:4700::1111]/v1',
    'https://[2001:4860:4860::8888]',
    'https://localhost.example.com',
    'https://notinternal.example.com',
    'https://my_vespa.example.com',
  ])('lets %s pass', (text) => {
    expect(checkUrl(text, { allowedPrivate: [] })).toEqual(new URL(text));
  });

  it.each([
    [['127.0.0.1:8080'], 'http://127.0.0.1:8080/search'],
    [['127.0.0.1'], 'http://127.0.0.1:6006'],
    [['10.0.0.0/8'], 'https://10.200.3.4'],
    [['x.test', 'vespa:8080'], 'http://vespa:8080'],
    [['VESPA.Internal.'], 'http://vespa.internal'],
    [['localhost:80'], 'http://localhost'],
    [['[::1]:8080'], 'http://[::1]:8080'],
    [['::1'], 'http://[::1]:8080'],
    [['0:0::1'], 'http://[::1]'],
    [['fd00::/8'], 'http://[fd12::1]:19071'],
    [['100.64.0.0/10'], 'http://100.64.0.1'],
  ])('with %j allowed lets %s pass', (allowedPrivate, text) => {
    expect(checkUrl(text, { allowedPrivate }).href).toBe(new URL(text).href);
  });

  it.each([
    [['127.0.0.1:8080'], 'http://127.0.0.1:8081'],
    [['127.0.0.1:8080'], 'http://127.0.0.1'],
    [['127.0.0.1:8080'], 'http://localhost:8080'],
    [['127.0.0.1:8080'], 'http://127.0.0.2:8080'],
    // Allowed in its plain form only.
    [['127.0.0.1:8080'], 'http://127.1:8080'],
    [['127.0.0.1:8080'], 'http://[::ffff:7f00:1]:8080'],
    [['vespa'], 'http://evil.vespa.internal'],
    [['vespa.internal'], 'http://x.vespa.internal'],
    [['10.0.0.0/8'], 'http://[::ffff:10.0.0.1]'],
    [['fd00::/8'], 'http://[fd00:ec2::254]'],
  ])('with %j allowed still refuses %s', (allowedPrivate, text) => {
    expect(refusal(text, allowedPrivate).type).toBe('InvalidInput');
  });

  it.each(['10.0.0.1/8', '10.0.0.0/33', 'http://x', 'a:b:c', 'host:port', '[::1', '/8'])(
    'says that %j is no entry of an allow-list',
    (entry) => {
      expect(refusal('http://127.0.0.1', [entry]).message).toContain('not a host, host:port or CIDR block');
    },
  );

  it('tells an operator how to allow what can be allowed, and the entry it names works', () => {
    const { hint } = refusal('http://vespa.internal:8080');
    expect(hint).toBe('an operator can allow it: CVOPS_ALLOWED_PRIVATE_HOSTS=vespa.internal:8080');
    expect(() =>
      checkUrl('http://vespa.internal:8080', { allowedPrivate: [hint!.split('=')[1]!] }),
    ).not.toThrow();
  });
});

/** Every way in which a number can stand for an IPv4 address. */
const notation = fc.constantFrom<((n: number) => string)[]>(
  (n) => String(n),
  (n) => `0x${n.toString(16)}`,
  (n) => `0${n.toString(8)}`,
  (n) => dotted(n),
  (n) => `${dotted(n)}.`,
  (n) =>
    octets(n)
      .map((o) => `0x${o.toString(16)}`)
      .join('.'),
  (n) =>
    octets(n)
      .map((o) => `0${o.toString(8)}`)
      .join('.'),
  (n) => `${n >>> 24}.${n & 0xff_ffff}`,
  (n) => `${n >>> 24}.0x${((n >>> 16) & 255).toString(16)}.${n & 0xffff}`,
  (n) => [...dotted(n)].map((c) => `%${c.charCodeAt(0).toString(16)}`).join(''),
  (n) => dotted(n).replace(/[0-9]/g, (d) => String.fromCharCode(0xff10 + Number(d))),
  (n) => dotted(n).replaceAll('.', '。'),
  (n) => `[::ffff:${dotted(n)}]`,
  (n) => `[64:ff9b::${dotted(n)}]`,
  (n) => `[2002:${(n >>> 16).toString(16)}:${(n & 0xffff).toString(16)}::1]`,
);
const octets = (n: number) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
const dotted = (n: number) => octets(n).join('.');
const within = (base: number, bits: number) =>
  fc.integer({ min: 0, max: 2 ** bits - 1 }).map((n) => (base + n) >>> 0);
const anyIPv4 = fc.integer({ min: 0, max: 0xffff_ffff });

describe('any notation of any address', () => {
  it('in a forbidden block is refused, with everything allowed', () => {
    const forbidden = fc.oneof(
      within(0xa9fe0000, 16),
      within(0, 24),
      within(0xe0000000, 28),
      within(0xf0000000, 28),
    );
    fc.assert(
      fc.property(forbidden, notation, fc.constantFrom('http', 'https', 'HTTP'), (n, write, scheme) => {
        expect(refusal(`${scheme}://${write(n)}:8080/x`, ALL).type).toBe('InvalidInput');
      }),
      { numRuns: 3000 },
    );
  });

  it('in a private block is refused when nothing is allowed', () => {
    const inside = fc.oneof(
      within(0x0a000000, 24),
      within(0x7f000000, 24),
      within(0xac100000, 20),
      within(0xc0a80000, 16),
      within(0x64400000, 22),
    );
    fc.assert(
      fc.property(inside, notation, (n, write) => {
        expect(refusal(`http://${write(n)}`).type).toBe('InvalidInput');
      }),
      { numRuns: 3000 },
    );
  });

  it('passes only as the host that it was written as, and only when public', () => {
    fc.assert(
      fc.property(anyIPv4, notation, (n, write) => {
        const text = `http://${write(n)}/`;
        try {
          expect(checkUrl(text, { allowedPrivate: [] }).hostname).toBe(text.slice(7, -1));
        } catch (error) {
          expect(error).toBeInstanceOf(OpsError);
          return;
        }
        expect(classifyAddress(dotted(n))).toBe('public');
      }),
      { numRuns: 3000 },
    );
  });
});

describe('any text', () => {
  it('is a URL of http or https without credentials, or refused by an OpsError', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.webUrl(),
      fc.string().map((s) => `http://${s}`),
    );
    fc.assert(
      fc.property(text, (given) => {
        try {
          const url = checkUrl(given, { allowedPrivate: [] });
          expect(['http:', 'https:']).toContain(url.protocol);
          expect(url.username + url.password + url.hash).toBe('');
        } catch (error) {
          expect(error).toBeInstanceOf(OpsError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe('classifyAddress', () => {
  it.each([
    ['8.8.8.8', 'public'],
    ['2606:4700::1', 'public'],
    ['::1', 'loopback'],
    ['[::1]', 'loopback'],
    ['fe80::1%eth0', 'link-local'],
    ['::ffff:10.1.2.3', 'private'],
    ['::ffff:8.8.8.8', 'embedded'],
    ['169.254.169.254', 'metadata'],
    ['0.0.0.0', 'unspecified'],
    ['::', 'unspecified'],
    ['ff02::fb', 'multicast'],
    ['100.64.1.1', 'shared'],
    ['255.255.255.255', 'reserved'],
  ])('%s is %s', (text, kind) => {
    expect(classifyAddress(text)).toBe(kind);
  });

  it('agrees with IANA at the edges of the private blocks', () => {
    const edges = [
      '9.255.255.255',
      '11.0.0.0',
      '172.15.255.255',
      '172.32.0.0',
      '192.167.255.255',
      '192.169.0.0',
    ];
    for (const text of [
      ...edges,
      '126.255.255.255',
      '128.0.0.0',
      '100.63.255.255',
      '100.128.0.0',
      '169.253.255.255',
    ])
      expect(classifyAddress(text)).toBe('public');
  });

  it.each([
    '',
    'localhost',
    '1.2.3',
    '01.2.3.4',
    '1.2.3.256',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '::1.2.3',
    'g::',
    '::12345',
  ])('throws at %j: what is no address never passes for public', (text) => {
    expect(() => classifyAddress(text)).toThrow(OpsError);
  });
});

describe('hostAndPort', () => {
  it.each([
    ['http://127.0.0.1:8080', '127.0.0.1:8080'],
    ['http://vespa', 'vespa:80'],
    ['https://vespa/x', 'vespa:443'],
    ['http://[::1]:9', '[::1]:9'],
  ])('of %s is %s', (url, wanted) => {
    expect(hostAndPort(url)).toBe(wanted);
  });
});
