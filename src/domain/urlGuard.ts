import { type AddressClass, classifyAddress, inBlock, parseAddress, parseBlock } from './addresses.js';
import { OpsError } from './errors.js';
import { quoteForMessage } from './ids.js';

export { type AddressClass, classifyAddress } from './addresses.js';

export interface UrlGuardOptions {
  /**
   * Private places that may be named all the same: `host`, `host:port`, an address, `[v6]:port`, or a CIDR block.
   * Link-local and metadata addresses stay refused whatever stands here.
   */
  readonly allowedPrivate: readonly string[];
}

const MAX_LENGTH = 2048;
const ALLOWABLE: readonly AddressClass[] = ['loopback', 'private', 'shared'];
const METADATA_NAMES =
  /^(.+\.)?(metadata\.google\.internal|metadata\.goog|instance-data(\.ec2\.internal)?|metadata)$/;
/** Names that only a local resolver answers. */
const LOCAL_NAMES =
  /^(.+\.)?(localhost|localhost[46]|ip6-localhost|ip6-loopback|localdomain|internal|local|lan|intranet|private|corp|home|home\.arpa|svc)$/;

/**
 * The one guard for every URL that is stored or called on a tenant's behalf. `URL` reads the text first, so that each way
 * of writing an address (decimal, octal, hex, short, percent-encoded, full-width) is the same address; a host written in
 * another way than `URL` would print it is refused too, as another program may read it otherwise.
 *
 * It knows no DNS: who connects must put each resolved address through {@link classifyAddress} as well.
 *
 * @throws OpsError `InvalidInput` naming the reason; credentials in the text are not repeated
 */
export function checkUrl(text: string, options: UrlGuardOptions): URL {
  const read = readUrl(text, options);
  if (read instanceof URL) return read;
  throw new OpsError('InvalidInput', `the URL is refused: ${read.reason}`, read.hint);
}

export interface UrlRefusal {
  readonly reason: string;
  readonly hint?: string;
}

/** {@link checkUrl} as a value. */
export function readUrl(text: string, options: UrlGuardOptions): URL | UrlRefusal {
  if (text.length > MAX_LENGTH) return { reason: `it is over ${MAX_LENGTH} characters` };
  // eslint-disable-next-line no-control-regex -- URL would drop or turn them round in silence
  if (/[\s\\\x00-\x20\x7f-\x9f]/.test(text))
    return { reason: 'it holds a space, a control character or a backslash' };
  if (!/^https?:\/\/[^/]/i.test(text)) return { reason: 'it does not begin with http:// or https://' };
  const authority = /^https?:\/\/([^/?#]*)/i.exec(text)![1]!;
  if (authority.includes('@')) return { reason: 'it holds credentials', hint: 'give secrets as references' };
  if (text.includes('#')) return { reason: 'it has a fragment' };
  const url = URL.parse(text);
  if (url === null) return { reason: 'it is no URL' };
  if (url.port === '0') return { reason: 'it names port 0' };
  return refuseHost(url, options) ?? refuseNotation(url, authority) ?? url;
}

/** `host:port` as an allow-list takes it; the port is given also when it is the scheme's own. */
export function hostAndPort(url: string | URL): string {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`;
}

function refuseHost(url: URL, { allowedPrivate }: UrlGuardOptions): UrlRefusal | undefined {
  const host = url.hostname.replace(/\.$/, '');
  const kind = classifyHost(host);
  if (kind === 'public') return undefined;
  if (kind === 'malformed') return { reason: 'its host is no usable name' };
  const what = kind === 'local' ? 'a name of the local network' : `a ${kind} address`;
  const reason = `${quoteForMessage(host)} is ${what}`;
  if (kind !== 'local' && !ALLOWABLE.includes(kind)) return { reason };
  const port = hostAndPort(url).slice(url.hostname.length + 1);
  if (allowedPrivate.some((entry) => allows(entry, host, port))) return undefined;
  return { reason, hint: `an operator can allow it: CVOPS_ALLOWED_PRIVATE_HOSTS=${host}:${port}` };
}

function classifyHost(host: string): AddressClass | 'local' | 'malformed' {
  if (parseAddress(host) !== undefined) return classifyAddress(host);
  if (METADATA_NAMES.test(host)) return 'metadata';
  if (!host.includes('.') || LOCAL_NAMES.test(host)) return 'local';
  const labels = host.split('.');
  return labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))
    ? 'public'
    : 'malformed';
}

/** Unusual spellings of a host or port: what one parser calls 8.8.8.8 another calls something else. */
function refuseNotation(url: URL, authority: string): UrlRefusal | undefined {
  const written = authority.toLowerCase();
  if (written === url.host || written === hostAndPort(url)) return undefined;
  return { reason: 'its host is not written in the usual form', hint: `write it as ${url.host}` };
}

function allows(entry: string, host: string, port: string): boolean {
  const text = entry.trim().toLowerCase();
  if (text.includes('/')) {
    const block = parseBlock(text);
    if (block === undefined) throw badEntry(entry);
    const address = parseAddress(host);
    return address !== undefined && inBlock(address, block);
  }
  const bare = parseAddress(text);
  const [, name, only] = bare ? [text, text] : (/^(\[[^\]]+\]|[^:[\]]+)(?::([0-9]{1,5}))?$/.exec(text) ?? []);
  if (name === undefined) throw badEntry(entry);
  return (only === undefined || Number(only) === Number(port)) && sameHost(name, host);
}

function sameHost(a: string, b: string): boolean {
  const [x, y] = [parseAddress(a), parseAddress(b)];
  return x && y ? x.bits === y.bits && x.value === y.value : a.replace(/\.$/, '') === b;
}

function badEntry(entry: string): OpsError {
  return new OpsError(
    'InvalidInput',
    `not a host, host:port or CIDR block in the allow-list: ${quoteForMessage(entry)}`,
    'for example CVOPS_ALLOWED_PRIVATE_HOSTS=vespa:8080,10.20.0.0/16',
  );
}
