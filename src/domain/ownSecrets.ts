/**
 * What no configuration of a tenant may refer to, whoever writes it: the installation's own secrets. Sent to a tenant's
 * endpoint they would open everybody's data.
 */
export interface OwnSecrets {
  /** Names of variables that this installation keeps its secrets in beside {@link isReserved} ones. */
  readonly variables: readonly string[];
  /** Files, and folders that end with `/`: absolute, without `.` and `..`. */
  readonly files: readonly string[];
}

/** Those of the product, and of what reads the environment by itself: Postgres, AWS, Temporal, OpenTelemetry, Node. */
const RESERVED = /^(CVOPS_|PG[A-Z]|AWS_|TEMPORAL_|VESPA_|PHOENIX_|ENCODER_|MEMORY_EMBEDDER_|OTEL_|NODE_)/i;
const RESERVED_NAMES = /^(DATABASE_URL|PATH|HOME)$/i;

/** Whole variables of the process, where a file of it is read, and what the cluster gives each of its containers. */
const ALWAYS = [
  ...['/proc/', '/sys/', '/dev/'],
  ...['/run/secrets/kubernetes.io/', '/var/run/secrets/kubernetes.io/', '/run/secrets/eks.amazonaws.com/'],
  '/var/run/secrets/eks.amazonaws.com/',
];

export function isReserved(variable: string): boolean {
  return RESERVED.test(variable) || RESERVED_NAMES.test(variable);
}

/** @param reference `env:NAME` or `file:PATH`; a path is read as it is written, no link is followed */
export function isOwnSecret(reference: string, { variables, files }: OwnSecrets): boolean {
  const name = reference.slice(reference.indexOf(':') + 1);
  if (reference.startsWith('env:')) return isReserved(name) || variables.includes(name);
  const path = resolved(name);
  return [...ALWAYS, ...files].some((own) => (own.endsWith('/') ? `${path}/`.startsWith(own) : path === own));
}

function resolved(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}
