import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { hostAndPort } from './domain/urlGuard.js';
import { rememberSecret } from './domain/redaction.js';

/**
 * Where everything is. The one place that reads the environment: a variable wins, else the embedded stack that
 * `cvops up` left running in `.cvops/stack.json`, else the usual local port.
 */
export interface Settings {
  /** Folder of the embedded stack's state; `CVOPS_HOME`, else `.cvops` in the working directory. */
  readonly home: string;
  readonly temporalAddress: string;
  readonly temporalNamespace: string;
  readonly temporalUiUrl: string;
  readonly databaseUrl: string;
  readonly phoenixUrl: string;
  readonly vespaUrl: string;
  readonly vespaConfigUrl: string;
  /** Names the Vespa application in workflow ids; one per Vespa cluster. */
  readonly vespaCluster: string;
  /** Client certificate (PEM) for mTLS and its key; empty: none. `VESPA_CERT_FILE`, `VESPA_KEY_FILE`. */
  readonly vespaCertFile: string;
  readonly vespaKeyFile: string;
  /** Authority that signed Vespa's own certificate; empty: those that Node knows. `VESPA_CA_FILE`. */
  readonly vespaCaFile: string;
  /** Reference to the bearer token for Vespa; empty: none. `VESPA_TOKEN_REF`. */
  readonly vespaTokenRef: string;
  /** Another S3 than Amazon's; empty: Amazon's. `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`. */
  readonly s3Endpoint: string;
  /** Multi-vector endpoint; empty: the embedded encoder. */
  readonly encoderUrl: string;
  readonly encoderModel: string;
  /** Reference (`env:NAME`, `file:PATH`) to the endpoint's bearer token; empty: none. */
  readonly encoderToken: string;
  /** OpenAI-compatible endpoint that embeds memories; empty: the embedded model. `MEMORY_EMBEDDER_URL`. */
  readonly memoryEmbedderUrl: string;
  readonly memoryEmbedderModel: string;
  /** Reference to that endpoint's bearer token; empty: none. `MEMORY_EMBEDDER_TOKEN_REF`. */
  readonly memoryEmbedderToken: string;
  /** What the endpoint is asked to cut its vectors to; empty: they are taken as they come. `MEMORY_EMBEDDER_DIMENSIONS`. */
  readonly memoryEmbedderDimensions: string;
  readonly logLevel: string;
  /** Where a worker shows the SDK's metrics to Prometheus, `127.0.0.1:9464`; empty: nowhere. `CVOPS_METRICS_ADDRESS`. */
  readonly metricsAddress: string;
  /** Where a `control` worker shows how fresh and proven the tenants' backups are. `CVOPS_TENANT_METRICS_ADDRESS`. */
  readonly tenantMetricsAddress: string;
  /** Reference to the Ed25519 key that signs erasure certificates; `CVOPS_CERTIFICATE_KEY`, else the embedded stack's. */
  readonly certificateKey: string;
  /** Where backups are put: a folder or `s3://bucket/prefix`; `CVOPS_BACKUP_STORE`, else `backups` below the home. */
  readonly backupStore: string;
  /** Reference to the key that backups are encrypted under; empty: they are not. `CVOPS_BACKUP_KEY`. */
  readonly backupKey: string;
  /** Reference to further public keys whose backups are believed; `CVOPS_BACKUP_TRUSTED_KEYS`. */
  readonly backupTrustedKeys: string;
  /** Reference to the keys that payloads in Temporal are encrypted under; empty: they are not. `CVOPS_PAYLOAD_KEYS`. */
  readonly payloadKeys: string;
  /** Whether payloads that are not encrypted are read: `accept` or `refuse`. `CVOPS_PLAIN_PAYLOADS`. */
  readonly plainPayloads: string;
  /** Reference to the token that the codec server wants; empty: none, on loopback only. `CVOPS_CODEC_TOKEN`. */
  readonly codecToken: string;
  /** Reference to the credential of who asks: `env:CVOPS_TOKEN` where that is set, else the embedded stack's administrator. */
  readonly credential: string;
  /** Reference to the public keys whose tokens are believed, a JWKS: `CVOPS_ACCESS_KEYS`, else the embedded stack's. */
  readonly accessKeys: string;
  /** Reference to the private key that signs tokens, a JWK; only who issues them has it. `CVOPS_ACCESS_SIGNING_KEY`. */
  readonly accessSigningKey: string;
  /** Name of this installation in its tokens: those of another one are refused. `CVOPS_ACCESS_AUDIENCE`. */
  readonly accessAudience: string;
  /** Reference to the workers' own credential, of the role `system`: `CVOPS_SYSTEM_TOKEN`, else the embedded stack's. */
  readonly systemCredential: string;
  /** Whether operations and their steps leave spans; `CVOPS_TRACE_OPERATIONS=off`: only searches, memory calls and routing do. */
  readonly traceOperations: boolean;
  /** Told of purges that come near; empty: nobody. `CVOPS_NOTICE_WEBHOOK`. */
  readonly noticeWebhook: string;
  /** Reference to the secret that signs those notices; empty: unsigned. `CVOPS_NOTICE_WEBHOOK_SECRET`. */
  readonly noticeWebhookSecret: string;
  /** Told of alerts; empty: only the log is. `CVOPS_ALERT_WEBHOOK`. */
  readonly alertWebhook: string;
  /** Reference to the secret that signs those; empty: unsigned. `CVOPS_ALERT_WEBHOOK_SECRET`. */
  readonly alertWebhookSecret: string;
  /** Private places that configuration may name: `host`, `host:port` or CIDR; `CVOPS_ALLOWED_PRIVATE_HOSTS`. */
  readonly allowedPrivateHosts: readonly string[];
  /** What principals of one tenant may have read, each place with `{tenant}`; none: nothing. `CVOPS_SOURCE_PLACES`. */
  readonly sourcePlaces: readonly string[];
  /** Which secrets they may refer to, the same way; none: no reference is theirs to set. `CVOPS_SECRET_PLACES`. */
  readonly secretPlaces: readonly string[];
}

/** Files of the embedded stack's access in its `keys` folder. */
export const ACCESS_FILES = {
  keys: 'access-keys.json',
  signingKey: 'access-signing-key.json',
  admin: 'admin.token',
  system: 'system.token',
} as const;

function accessFile(home: string, name: string): string {
  return `file:${path.join(home, 'keys', name)}`;
}

/** Addresses of a running embedded stack, as `cvops up` writes them. */
export interface StackAddresses {
  readonly temporalAddress: string;
  readonly temporalUiUrl: string;
  readonly databaseUrl: string;
  readonly phoenixUrl: string;
  readonly vespaUrl: string;
  readonly vespaConfigUrl: string;
}

/** Secrets that libraries read from the environment by themselves. */
const CREDENTIALS = ['PGPASSWORD', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'] as const;

export function loadSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const home = path.resolve(env['CVOPS_HOME'] ?? '.cvops');
  const stack = readStack(home);
  const databaseUrl =
    env['DATABASE_URL'] || stack?.databaseUrl || 'postgresql://postgres@127.0.0.1:5432/cvops';
  for (const secret of [passwordOf(databaseUrl), ...CREDENTIALS.map((name) => env[name])])
    if (secret) rememberSecret(secret);
  return {
    home,
    temporalAddress: env['TEMPORAL_ADDRESS'] || stack?.temporalAddress || '127.0.0.1:7233',
    temporalNamespace: env['TEMPORAL_NAMESPACE'] || 'default',
    temporalUiUrl: env['TEMPORAL_UI_URL'] || stack?.temporalUiUrl || 'http://127.0.0.1:8233',
    databaseUrl,
    phoenixUrl: env['PHOENIX_URL'] || stack?.phoenixUrl || 'http://127.0.0.1:6006',
    vespaUrl: env['VESPA_URL'] || stack?.vespaUrl || 'http://127.0.0.1:8080',
    vespaConfigUrl: env['VESPA_CONFIG_URL'] || stack?.vespaConfigUrl || 'http://127.0.0.1:19071',
    vespaCluster: env['VESPA_CLUSTER'] || 'default',
    vespaCertFile: env['VESPA_CERT_FILE'] ?? '',
    vespaKeyFile: env['VESPA_KEY_FILE'] ?? '',
    vespaCaFile: env['VESPA_CA_FILE'] ?? '',
    vespaTokenRef: env['VESPA_TOKEN_REF'] ?? '',
    s3Endpoint: env['AWS_ENDPOINT_URL_S3'] || env['AWS_ENDPOINT_URL'] || '',
    encoderUrl: env['ENCODER_URL'] ?? '',
    encoderModel: env['ENCODER_MODEL'] ?? '',
    encoderToken: env['ENCODER_TOKEN_REF'] ?? '',
    memoryEmbedderUrl: env['MEMORY_EMBEDDER_URL'] ?? '',
    memoryEmbedderModel: env['MEMORY_EMBEDDER_MODEL'] ?? '',
    memoryEmbedderToken: env['MEMORY_EMBEDDER_TOKEN_REF'] ?? '',
    memoryEmbedderDimensions: env['MEMORY_EMBEDDER_DIMENSIONS'] ?? '',
    logLevel: env['LOG_LEVEL'] || 'info',
    metricsAddress: env['CVOPS_METRICS_ADDRESS'] ?? '',
    tenantMetricsAddress: env['CVOPS_TENANT_METRICS_ADDRESS'] ?? '',
    certificateKey: env['CVOPS_CERTIFICATE_KEY'] || `file:${path.join(home, 'keys', 'certificate-key.pem')}`,
    backupStore: env['CVOPS_BACKUP_STORE'] || path.join(home, 'backups'),
    backupKey: env['CVOPS_BACKUP_KEY'] ?? '',
    backupTrustedKeys: env['CVOPS_BACKUP_TRUSTED_KEYS'] ?? '',
    payloadKeys: env['CVOPS_PAYLOAD_KEYS'] ?? '',
    plainPayloads: env['CVOPS_PLAIN_PAYLOADS'] || 'accept',
    codecToken: env['CVOPS_CODEC_TOKEN'] ?? '',
    credential: env['CVOPS_TOKEN'] ? 'env:CVOPS_TOKEN' : accessFile(home, ACCESS_FILES.admin),
    accessKeys: env['CVOPS_ACCESS_KEYS'] || accessFile(home, ACCESS_FILES.keys),
    accessSigningKey: env['CVOPS_ACCESS_SIGNING_KEY'] || accessFile(home, ACCESS_FILES.signingKey),
    accessAudience: env['CVOPS_ACCESS_AUDIENCE'] || 'cvops',
    systemCredential: env['CVOPS_SYSTEM_TOKEN'] || accessFile(home, ACCESS_FILES.system),
    traceOperations: env['CVOPS_TRACE_OPERATIONS'] !== 'off',
    noticeWebhook: env['CVOPS_NOTICE_WEBHOOK'] ?? '',
    noticeWebhookSecret: env['CVOPS_NOTICE_WEBHOOK_SECRET'] ?? '',
    alertWebhook: env['CVOPS_ALERT_WEBHOOK'] ?? '',
    alertWebhookSecret: env['CVOPS_ALERT_WEBHOOK_SECRET'] ?? '',
    allowedPrivateHosts: list(env['CVOPS_ALLOWED_PRIVATE_HOSTS'] ?? ''),
    sourcePlaces: list(env['CVOPS_SOURCE_PLACES'] ?? ''),
    secretPlaces: list(env['CVOPS_SECRET_PLACES'] ?? ''),
  };
}

/** The installation's own servers may be named by their very host and port, wherever they are. */
export function ownHosts({
  allowedPrivateHosts,
  vespaUrl,
  phoenixUrl,
}: Pick<Settings, 'allowedPrivateHosts' | 'vespaUrl' | 'phoenixUrl'>): string[] {
  return [...allowedPrivateHosts, hostAndPort(vespaUrl), hostAndPort(phoenixUrl)];
}

/** As it is written in the URL. */
function passwordOf(url: string): string {
  return URL.parse(url)?.password ?? '';
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

export function stackFile(home: string): string {
  return path.join(home, 'stack.json');
}

function readStack(home: string): StackAddresses | undefined {
  const file = stackFile(home);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as StackAddresses) : undefined;
}
