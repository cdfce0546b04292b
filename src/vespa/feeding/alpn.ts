import { once } from 'node:events';
import tls from 'node:tls';

/** Certificates in PEM; what is left out is Node's own. */
export interface TlsFiles {
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
}

const HANDSHAKE_MS = 30_000;

/** Asks the endpoint in one handshake. Cleartext says HTTP/1.1: it is what Node is fastest with there. */
export async function speaksHttp2(origin: string, files: TlsFiles): Promise<boolean> {
  const url = new URL(origin);
  if (url.protocol !== 'https:') return false;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const socket = tls.connect({
    host,
    port: Number(url.port || 443),
    // A server name is a name: an address is refused by Node as one.
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    ALPNProtocols: ['h2', 'http/1.1'],
    ...files,
  });
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(HANDSHAKE_MS) });
    return socket.alpnProtocol === 'h2';
  } finally {
    socket.on('error', () => undefined).destroy();
  }
}
