import { homedir } from 'node:os';
import path from 'node:path';
import type { ReferenceRules } from '../domain/config/references.js';
import { type OwnSecrets, isReserved } from '../domain/ownSecrets.js';
import { parseSecretPlaces } from '../domain/secretPlaces.js';
import { fileOf } from '../secrets.js';
import type { Settings } from '../settings.js';

/** The settings that refer to a secret. */
const REFERENCES = [
  ...(['vespaTokenRef', 'encoderToken', 'memoryEmbedderToken', 'certificateKey'] as const),
  ...(['backupKey', 'backupTrustedKeys', 'payloadKeys', 'codecToken'] as const),
  ...(['credential', 'accessKeys', 'accessSigningKey', 'systemCredential'] as const),
  ...(['noticeWebhookSecret', 'alertWebhookSecret'] as const),
] as const satisfies readonly (keyof Settings)[];

/** Where libraries look for credentials by themselves. */
const AT_HOME = ['.aws/', '.pgpass', '.postgresql/', '.config/gcloud/', '.azure/', '.kube/', '.ssh/'];

/** @throws OpsError `InvalidInput` for places that are none */
export function referenceRulesOf(settings: Settings, env: NodeJS.ProcessEnv = process.env): ReferenceRules {
  return { places: parseSecretPlaces(settings.secretPlaces), own: ownSecretsOf(settings, env) };
}

/**
 * The secrets of this installation, as far as this process is set to use them: what its settings refer to, its home, and
 * the files that libraries read.
 */
function ownSecretsOf(settings: Settings, env: NodeJS.ProcessEnv): OwnSecrets {
  const references = REFERENCES.map((name) => settings[name]).filter((reference) => reference !== '');
  const files = [
    ...references.flatMap((reference) => fileOf(reference) ?? []),
    ...[settings.vespaCertFile, settings.vespaKeyFile, settings.vespaCaFile],
    // AWS_WEB_IDENTITY_TOKEN_FILE, PGPASSFILE and whatever else is a path.
    ...Object.entries(env).flatMap(([name, value]) => (isReserved(name) && value ? [value] : [])),
  ];
  return {
    variables: references.filter((each) => each.startsWith('env:')).map((each) => each.slice('env:'.length)),
    files: [
      ...files.filter((file) => path.isAbsolute(file) && file !== '/').map((file) => path.resolve(file)),
      `${settings.home}/`,
      ...AT_HOME.map((name) => path.join(homedir(), name)),
    ],
  };
}
