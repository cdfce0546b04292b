/** Where the codec server of a Temporal UI is by default: on this machine, one port after the UI's. */
export function codecPort(uiUrl: string): number {
  const { port, protocol } = new URL(uiUrl);
  return Number(port || (protocol === 'https:' ? 443 : 80)) + 1;
}

/** How a browser may call the UI's pages: `127.0.0.1` is opened as `localhost` too. */
export function uiOrigins(uiUrl: string): string[] {
  const { origin, hostname } = new URL(uiUrl);
  return hostname === '127.0.0.1' ? [origin, origin.replace('127.0.0.1', 'localhost')] : [origin];
}
