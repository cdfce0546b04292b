import { OpsError } from './errors.js';
import { quoteForMessage } from './ids.js';

/**
 * What an IP address is good for. Only `public` may be reached without leave; `loopback`, `private` and `shared` (the
 * carriers' 100.64.0.0/10) when an operator allows them; the rest never. `embedded` is a public IPv4 address inside an
 * IPv6 one (mapped, NAT64, 6to4, Teredo, ISATAP): a way around a filter, and no way anybody needs.
 */
export type AddressClass =
  | 'public'
  | 'loopback'
  | 'private'
  | 'shared'
  | 'link-local'
  | 'metadata'
  | 'unspecified'
  | 'multicast'
  | 'reserved'
  | 'embedded';

/** An address as a number of 32 or 128 bits. */
export interface Address {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

export interface Block extends Address {
  /** Leading bits that count. */
  readonly prefix: number;
}

/**
 * For an address after name resolution too: a public name may lead to a private place.
 *
 * @param text dotted decimal, or IPv6 with or without brackets and zone
 * @throws OpsError `InvalidInput` when it is no address, so that nothing unknown passes for public
 */
export function classifyAddress(text: string): AddressClass {
  const address = parseAddress(text);
  if (address === undefined)
    throw new OpsError('InvalidInput', `not an IP address: ${quoteForMessage(text)}`);
  return address.bits === 32 ? classifyV4(address.value) : classifyV6(address.value);
}

export function parseAddress(text: string): Address | undefined {
  const v4 = parseV4(text);
  if (v4 !== undefined) return { bits: 32, value: v4 };
  const v6 = parseV6(text.replace(/^\[(.*)\]$/, '$1').replace(/%.+$/, ''));
  return v6 === undefined ? undefined : { bits: 128, value: v6 };
}

/** `10.0.0.0/8`, `fd00::/8`. @returns undefined when it is none, or has bits set beyond its prefix */
export function parseBlock(text: string): Block | undefined {
  const [, base, length] = /^([^/]+)\/([0-9]{1,3})$/.exec(text) ?? [];
  const address = base === undefined ? undefined : parseAddress(base);
  const prefix = Number(length);
  if (address === undefined || prefix > address.bits) return undefined;
  const rest = (1n << BigInt(address.bits - prefix)) - 1n;
  return (address.value & rest) === 0n ? { ...address, prefix } : undefined;
}

export function inBlock(address: Address, block: Block): boolean {
  const rest = BigInt(block.bits - block.prefix);
  return address.bits === block.bits && address.value >> rest === block.value >> rest;
}

type Range = readonly [block: Block, kind: AddressClass];
const ranges = (kind: AddressClass, ...blocks: string[]): Range[] =>
  blocks.map((text) => [parseBlock(text)!, kind]);

/** IANA's special-purpose registry, and where clouds answer with credentials. The first that fits counts. */
const V4: readonly Range[] = [
  ...ranges(
    'metadata',
    '169.254.169.254/32', // AWS, Google, Azure, most others
    '169.254.170.2/32', // ECS task credentials
    '100.100.100.200/32', // Alibaba
    '168.63.129.16/32', // Azure's wire server, in a public range
    '192.0.0.192/32', // Oracle
  ),
  ...ranges('unspecified', '0.0.0.0/8'),
  ...ranges('loopback', '127.0.0.0/8'),
  ...ranges('private', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'),
  ...ranges('shared', '100.64.0.0/10'),
  ...ranges('link-local', '169.254.0.0/16'),
  ...ranges('multicast', '224.0.0.0/4'),
  ...ranges('reserved', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '198.18.0.0/15'),
  ...ranges('reserved', '198.51.100.0/24', '203.0.113.0/24', '240.0.0.0/4'),
];

const V6: readonly Range[] = [
  // AWS, Google, Scaleway: within fc00::/7, so before it.
  ...ranges('metadata', 'fd00:ec2::254/128', 'fd00:ec2::23/128', 'fd20:ce::254/128', 'fd00:42::42/128'),
  ...ranges('unspecified', '::/128'),
  ...ranges('loopback', '::1/128'),
  ...ranges('private', 'fc00::/7', 'fec0::/10'),
  ...ranges('link-local', 'fe80::/10'),
  ...ranges('multicast', 'ff00::/8'),
  ...ranges('reserved', '2001:db8::/32', '2001::/23', '3fff::/20'),
  ...ranges('public', '2000::/3'),
];

/** Blocks that carry an IPv4 address: how far it lies from the right. Before {@link V6}, but for `::` and `::1`. */
const CARRIERS: readonly (readonly [block: Block, shift: bigint])[] = [
  [parseBlock('::ffff:0:0/96')!, 0n], // mapped
  [parseBlock('::ffff:0:0:0/96')!, 0n], // translated
  [parseBlock('::/96')!, 0n], // compatible
  [parseBlock('64:ff9b::/96')!, 0n], // NAT64
  [parseBlock('64:ff9b:1::/48')!, 0n], // NAT64, local
  [parseBlock('2002::/16')!, 80n], // 6to4
];
const TEREDO = parseBlock('2001::/32')!;
const LOW = 0xffff_ffffn;

function classifyV4(value: bigint): AddressClass {
  return V4.find(([block]) => inBlock({ bits: 32, value }, block))?.[1] ?? 'public';
}

function classifyV6(value: bigint): AddressClass {
  const address = { bits: 128, value } as const;
  const inner = value > 1n ? carriedV4(address) : undefined;
  if (inner !== undefined) {
    const kind = classifyV4(inner);
    return kind === 'public' ? 'embedded' : kind;
  }
  return V6.find(([block]) => inBlock(address, block))?.[1] ?? 'reserved';
}

function carriedV4(address: Address): bigint | undefined {
  const { value } = address;
  const carrier = CARRIERS.find(([block]) => inBlock(address, block));
  if (carrier !== undefined) return (value >> carrier[1]) & LOW;
  // Teredo keeps its client's address inverted.
  if (inBlock(address, TEREDO)) return ~value & LOW;
  // ISATAP: an interface id of 0:5efe:a.b.c.d (or 200:5efe) under any prefix.
  const isatap = ((value >> 32n) & LOW & ~0x0200_0000n) === 0x5efen;
  return isatap ? value & LOW : undefined;
}

function parseV4(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256))
    return undefined;
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parseV6(text: string): bigint | undefined {
  const tail = /^(.*:)([0-9.]+)$/.exec(text);
  if (tail?.[2]!.includes('.')) {
    const v4 = parseV4(tail[2]!);
    if (v4 === undefined) return undefined;
    return parseV6(`${tail[1]}${(v4 >> 16n).toString(16)}:${(v4 & 0xffffn).toString(16)}`);
  }
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = [], rest = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const zeros = 8 - head.length - rest.length;
  if (halves.length === 2 ? zeros < 1 : zeros !== 0) return undefined;
  const groups = [...head, ...Array<string>(zeros).fill('0'), ...rest];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}
