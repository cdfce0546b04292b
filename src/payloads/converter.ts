import { fileURLToPath } from 'node:url';
import type { DataConverter } from '@temporalio/common';
import { OpsError } from '../domain/errors.js';
import type { Settings } from '../settings.js';
import { EncryptionCodec } from './codec.js';
import { loadPayloadKeys } from './keys.js';

/**
 * What every Temporal client and worker of the product is given; without keys payloads stay readable.
 *
 * @throws OpsError `InvalidInput`
 */
export async function dataConverterOf(settings: Settings): Promise<DataConverter | undefined> {
  const codec = await codecOf(settings);
  return codec && { payloadCodecs: [codec] };
}

/** The same for a worker, which also writes failures; its workflow bundle must be the one for encrypted payloads. */
export async function workerDataConverterOf(settings: Settings): Promise<DataConverter | undefined> {
  const converter = await dataConverterOf(settings);
  const failureConverterPath = fileURLToPath(new URL('./failureConverter.js', import.meta.url));
  return converter && { ...converter, failureConverterPath };
}

/** @returns undefined when there are no keys */
export async function codecOf({
  payloadKeys,
  plainPayloads,
}: Pick<Settings, 'payloadKeys' | 'plainPayloads'>): Promise<EncryptionCodec | undefined> {
  if (plainPayloads !== 'accept' && plainPayloads !== 'refuse')
    throw new OpsError('InvalidInput', 'CVOPS_PLAIN_PAYLOADS is neither accept nor refuse');
  if (payloadKeys !== '')
    return new EncryptionCodec(await loadPayloadKeys(payloadKeys), {
      acceptPlain: plainPayloads === 'accept',
    });
  if (plainPayloads === 'accept') return undefined;
  throw new OpsError(
    'InvalidInput',
    'CVOPS_PLAIN_PAYLOADS refuses plain payloads, and there are no keys to encrypt with',
    'set CVOPS_PAYLOAD_KEYS too',
  );
}
