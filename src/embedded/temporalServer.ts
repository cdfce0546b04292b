import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';
import { portOpen } from './health.js';

const TIMEOUT_MS = 3000;

/** Asks a Temporal server something and hangs up. @throws Error when it does not answer in 3 s */
async function ask<T>(address: string, question: (connection: Connection) => Promise<T>): Promise<T> {
  // gRPC would go on trying a port that refuses until its time is over.
  const [host, port] = splitAddress(address);
  if (!(await portOpen(Number(port), host))) throw new Error(`nothing listens on ${address}`);
  const connection = await Connection.connect({ address, connectTimeout: TIMEOUT_MS });
  try {
    return await connection.withDeadline(Date.now() + TIMEOUT_MS, () => question(connection));
  } finally {
    await connection.close();
  }
}

/** `host:port`, where the host may be an IPv6 address in brackets. */
function splitAddress(address: string): [host: string, port: string] {
  const colon = address.lastIndexOf(':');
  return [address.slice(0, colon).replace(/^\[|\]$/g, ''), address.slice(colon + 1)];
}

/** The server's version, such as `1.32.0`, once it serves the namespace. */
export async function temporalVersion(address: string, namespace: string): Promise<string> {
  return ask(address, async ({ workflowService }) => {
    await workflowService.describeNamespace({ namespace });
    return (await workflowService.getSystemInfo({})).serverVersion ?? 'unknown';
  });
}

/** How long closed workflows stay visible; a fresh dev server forgets them after a day. */
export async function setRetention(address: string, namespace: string, days: number): Promise<void> {
  await ask(address, ({ workflowService }) =>
    workflowService.updateNamespace({
      namespace,
      config: { workflowExecutionRetentionTtl: msToTs(`${days} days`) },
    }),
  );
}

/** Search attributes of ours that a server does not know: operations could not start there. */
export async function missingSearchAttributes(address: string, namespace: string): Promise<string[]> {
  const known = await ask(address, ({ operatorService }) =>
    operatorService.listSearchAttributes({ namespace }),
  );
  return Object.values(SEARCH_ATTRIBUTES)
    .map(({ name }) => name)
    .filter((name) => !Object.hasOwn(known.customAttributes ?? {}, name));
}
