import { isIP } from 'node:net';
import { OpsError } from '../domain/errors.js';
import { quoteForMessage } from '../domain/ids.js';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const ADDRESS = /^(?:\[(?<v6>[^\]]+)\]|(?<v4>[^:]+)):(?<port>[0-9]{1,5})$/;

/**
 * `127.0.0.1:9464`, `[::1]:9464`. No names: the SDK's exporter resolves none.
 *
 * @param variable where it is from, for the message
 * @throws OpsError `InvalidInput`
 */
export function parseListenAddress(text: string, variable: string): ListenAddress {
  const { v6, v4, port } = ADDRESS.exec(text)?.groups ?? {};
  const host = v6 ?? v4 ?? '';
  if (isIP(host) === (v6 === undefined ? 4 : 6) && Number(port) <= 65_535)
    return { host, port: Number(port) };
  throw new OpsError(
    'InvalidInput',
    `${variable}: not an address to listen on: ${quoteForMessage(text)}`,
    'give an IP address and a port, such as 127.0.0.1:9464',
  );
}
