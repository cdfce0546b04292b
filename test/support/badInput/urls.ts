import fc from 'fast-check';

/** Addresses that nobody may ever name: the clouds' metadata services, and all of 169.254.0.0/16. */
const METADATA = [0xa9fea9fe, 0xa9feaa02, 0x646464c8, 0xa83f8110, 0xc00000c0];
const v4 = fc.oneof(
  fc.constantFrom(...METADATA),
  fc.nat(0xffff).map((low) => 0xa9fe0000 + low),
);

const octets = (value: number): number[] =>
  [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256);
const hextets = (value: number): string[] => [
  Math.floor(value / 65_536).toString(16),
  (value % 65_536).toString(16),
];

/** One part of an address in a base, with zeros before it where the base allows. */
function spelled(part: number, base: number, zeros: number): string {
  if (base === 10) return String(part);
  const pad = '0'.repeat(zeros);
  return base === 16 ? `0x${pad}${part.toString(16)}` : `0${pad}${part.toString(8)}`;
}

/** As `inet_aton` reads it: one to four parts, the last has what is left, each in its own base. */
const numbers = fc
  .record({
    value: v4,
    parts: fc.integer({ min: 1, max: 4 }),
    bases: fc.array(fc.constantFrom(8, 10, 16), { minLength: 4, maxLength: 4 }),
    zeros: fc.nat(3),
  })
  .map(({ value, parts, bases, zeros }) => {
    const all = octets(value);
    const last = all.slice(parts - 1).reduce((sum, octet) => sum * 256 + octet, 0);
    return [...all.slice(0, parts - 1), last].map((part, i) => spelled(part, bases[i]!, zeros)).join('.');
  });

const CIRCLED = '⓪①②③④⑤⑥⑦⑧⑨';
/** Other characters that a URL parser turns into the same host. */
const disguises: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => text.toUpperCase(),
  (text) => text.replace(/./g, (c) => `%${c.charCodeAt(0).toString(16)}`),
  (text) => text.replace(/[0-9a-z]/g, (c) => String.fromCharCode(c.charCodeAt(0) + 0xfee0)),
  (text) => text.replace(/[0-9]/g, (c) => CIRCLED[Number(c)]!),
  (text) => text.replaceAll('.', '。'),
  (text) => text.replaceAll('.', '．'),
  (text) => `${text.slice(0, 1)}\u00ad${text.slice(1)}`,
  (text) => `${text}.`,
];

/** Within an IPv6 address, by every way that leads there. */
const within: readonly ((value: number) => string)[] = [
  (value) => `::ffff:${octets(value).join('.')}`,
  (value) => `::ffff:${hextets(value).join(':')}`,
  (value) => `0:0:0:0:0:FFFF:${hextets(value).join(':').toUpperCase()}`,
  (value) => `::${octets(value).join('.')}`,
  (value) => `::ffff:0:${octets(value).join('.')}`,
  (value) => `64:ff9b::${hextets(value).join(':')}`,
  (value) => `64:ff9b:1::${hextets(value).join(':')}`,
  (value) => `2002:${hextets(value).join(':')}::1`,
  (value) => `2001:0:1::${hextets(2 ** 32 - 1 - value).join(':')}`,
  (value) => `fe80::5efe:${octets(value).join('.')}`,
];
const v6 = fc.oneof(
  fc.tuple(v4, fc.constantFrom(...within)).map(([value, way]) => way(value)),
  fc
    .tuple(fc.integer({ min: 0xfe80, max: 0xfebf }), fc.nat(0xffff))
    .map(([head, tail]) => `${head.toString(16)}::${tail.toString(16)}`),
  fc.constantFrom('fd00:ec2::254', 'fd20:ce::254', 'FD00:EC2::254', 'fd00:0ec2:0:0:0:0:0:0254', '::'),
);

const NAMES = ['metadata.google.internal', 'metadata.goog', 'instance-data', 'instance-data.ec2.internal'];
const hosts = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(numbers, fc.constantFrom(...disguises)).map(([host, as]) => as(host)) },
  { weight: 2, arbitrary: v6.map((host) => `[${host}]`) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(...disguises)).map(([n, as]) => as(n)),
  },
);

/** A link-local or metadata address in any notation, in any URL. */
export const forbiddenUrls = fc
  .record({
    host: hosts,
    scheme: fc.constantFrom('http://', 'https://', 'HTTP://', 'hTTps://'),
    port: fc.constantFrom('', ':80', ':443', ':8080', ':00080', ':'),
    rest: fc.constantFrom('', '/', '/latest/meta-data/', '/v1?x=1', '?x', '/%2e%2e/x'),
  })
  .map(({ scheme, host, port, rest }) => `${scheme}${host}${port}${rest}`);

/** That one program reads as a public host and another one as a forbidden one, or as no URL of the web at all. */
export const confusingUrls = fc
  .tuple(
    fc.constantFrom<(good: string, evil: string) => string>(
      (good, evil) => `http://${good}@${evil}/`,
      (good, evil) => `http://${evil}@${good}/`,
      (good, evil) => `http://${good}:x@${evil}/`,
      (good, evil) => `http://${evil}\\@${good}/`,
      (good, evil) => `http://${evil}#@${good}/`,
      (good, evil) => `http://${good}#${evil}`,
      (good, evil) => `http://${good}\t@${evil}/`,
      (good, evil) => `http://${good}\r\nHost: ${evil}`,
      (good, evil) => `\\\\${evil}\\${good}`,
      (_, evil) => `//${evil}/`,
      (_, evil) => `http:${evil}`,
      (_, evil) => `http:/${evil}`,
      (_, evil) => `http:///${evil}`,
      (_, evil) => `http:\\\\${evil}`,
      (_, evil) => ` http://${evil}`,
      (_, evil) => `gopher://${evil}/`,
      (_, evil) => `file://${evil}/etc/passwd`,
      (_, evil) => `dict://${evil}:11211/`,
      (_, evil) => `jar:http://${evil}!/`,
      (_, evil) => `http://${evil}:0/`,
      (_, evil) => `http://${evil}:99999/`,
    ),
    hosts,
  )
  .map(([how, evil]) => how('example.com', evil));
