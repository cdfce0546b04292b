import { OpsError } from '../domain/errors.js';
import { readReference } from '../secrets.js';
import type { Settings } from '../settings.js';
import type { DocumentClient } from './documents.js';
import type { VespaAccess } from './feeding/transport.js';

type AccessSettings = Pick<Settings, 'vespaCertFile' | 'vespaKeyFile' | 'vespaCaFile' | 'vespaTokenRef'>;

/**
 * Reads what `VESPA_CERT_FILE`, `VESPA_KEY_FILE`, `VESPA_CA_FILE` and `VESPA_TOKEN_REF` name: a client certificate for
 * mTLS, or a bearer token, as Vespa Cloud takes them on endpoints of their own. Certificates are read once, the token
 * again each minute.
 *
 * @throws OpsError `InvalidInput` when a file or secret cannot be read, or a certificate comes without its key
 */
export async function vespaAccess(settings: AccessSettings): Promise<VespaAccess> {
  const { vespaCertFile, vespaKeyFile, vespaCaFile, vespaTokenRef } = settings;
  if ((vespaCertFile === '') !== (vespaKeyFile === ''))
    throw new OpsError(
      'InvalidInput',
      `a client certificate and its key go together: ${vespaCertFile === '' ? 'VESPA_CERT_FILE' : 'VESPA_KEY_FILE'} is not set`,
      'set both VESPA_CERT_FILE and VESPA_KEY_FILE, or neither',
    );
  const pem = async (name: string, file: string, what: string) =>
    file === '' ? {} : { [name]: await readReference(`file:${file}`, what) };
  const tls = {
    ...(await pem('cert', vespaCertFile, 'the Vespa client certificate')),
    ...(await pem('key', vespaKeyFile, 'the key of the Vespa client certificate')),
    ...(await pem('ca', vespaCaFile, 'the certificate authority of Vespa')),
  };
  const token = () => readReference(vespaTokenRef, 'the Vespa token');
  // Now, so that a wrong reference is said at the start and not by the first document.
  if (vespaTokenRef !== '') await token();
  return {
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
    ...(vespaTokenRef === '' ? {} : { token }),
  };
}

/**
 * Opens the endpoint that the settings name, the way they say; the caller closes it.
 *
 * @param connections most requests at a time, 32 by default
 * @throws OpsError as {@link vespaAccess}
 */
export async function openDocuments(
  settings: AccessSettings & Pick<Settings, 'vespaUrl'>,
  connections?: number,
): Promise<DocumentClient> {
  const access = await vespaAccess(settings);
  const { DocumentClient } = await import('./documents.js');
  return new DocumentClient(settings.vespaUrl, {
    access,
    ...(connections === undefined ? {} : { connections }),
  });
}
