import { once } from 'node:events';
import type { Command } from 'commander';
import { classifyAddress } from '../domain/addresses.js';
import { codecPort, uiOrigins } from '../domain/codecServer.js';
import { OpsError } from '../domain/errors.js';
import { parseListenAddress } from '../metrics/listenAddress.js';
import { codecOf } from '../payloads/converter.js';
import { serveCodec } from '../payloads/codecServer.js';
import { readReference } from '../secrets.js';
import { type Settings, loadSettings } from '../settings.js';
import { wholeNumber } from './context.js';
import { note } from './output.js';

interface ServerOptions {
  readonly listen: string;
  readonly port?: number;
  readonly origin: string[];
}

export function addCodecServerCommand(program: Command): void {
  program
    .command('codec-server')
    .description('lets the Temporal UI and command read encrypted payloads; runs until it is ended')
    .option('--listen <address>', 'an IP address; another than loopback wants CVOPS_CODEC_TOKEN', '127.0.0.1')
    .option('--port <port>', 'by default the one after the Temporal UI’s', wholeNumber)
    .option(
      '--origin <origin>',
      'a page that may ask, beside TEMPORAL_UI_URL; may be repeated',
      (text: string, all: string[]) => [...all, text],
      [],
    )
    .action(async (options: ServerOptions) => {
      const settings = loadSettings();
      const server = await serveCodec(await optionsOf(settings, options));
      note(`the codec server answers at ${server.url}\n  for pages of ${settings.temporalUiUrl}`);
      for (const signal of ['SIGINT', 'SIGTERM'] as const)
        process.once(signal, () => {
          server.closeAllConnections();
          server.close();
        });
      await once(server, 'close');
    });
}

async function optionsOf(settings: Settings, { listen, port, origin }: ServerOptions) {
  const codec = await codecOf({ ...settings, plainPayloads: 'accept' });
  if (codec === undefined)
    throw new OpsError(
      'InvalidInput',
      'there are no keys: payloads are not encrypted',
      'set CVOPS_PAYLOAD_KEYS to env:NAME or file:PATH',
    );
  const chosen = port ?? codecPort(settings.temporalUiUrl);
  const host = listen.includes(':') ? `[${listen}]` : listen;
  const address = parseListenAddress(`${host}:${chosen}`, '--listen and --port');
  const token =
    settings.codecToken === '' ? undefined : await readReference(settings.codecToken, 'the codec token');
  if (token === undefined && classifyAddress(address.host) !== 'loopback')
    throw new OpsError(
      'InvalidInput',
      `on ${address.host} others reach the codec server, and it has no token to ask them for`,
      'set CVOPS_CODEC_TOKEN to env:NAME or file:PATH, or listen on 127.0.0.1',
    );
  return { codec, ...address, token, origins: [...uiOrigins(settings.temporalUiUrl), ...origin] };
}
