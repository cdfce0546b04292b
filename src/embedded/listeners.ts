import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/**
 * Whether a process itself listens on a TCP port: a server that answers there may be somebody else's, one that took the
 * port between our check and our start. Linux only.
 *
 * @returns undefined where it cannot be told
 */
export function listensOn(pid: number, port: number): boolean | undefined {
  const sockets = listeningSockets(port);
  if (sockets === undefined) return undefined;
  const own = socketsOf(pid);
  return own === undefined ? undefined : own.some((socket) => sockets.has(socket));
}

/** The process that listens on a TCP port, as far as this user may see it. Reads every process: for error messages. */
export function listener(port: number): number | undefined {
  const sockets = listeningSockets(port);
  if (sockets === undefined || sockets.size === 0) return undefined;
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => socketsOf(Number(pid))?.some((socket) => sockets.has(socket)));
  return found === undefined ? undefined : Number(found);
}

const LISTEN = '0A';

/** `socket:[inode]` of every listening socket on the port, on whatever address. */
function listeningSockets(port: number): Set<string> | undefined {
  if (process.platform !== 'linux') return undefined;
  const sockets = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    let text: string;
    try {
      text = readFileSync(table, 'utf8');
    } catch {
      continue; // No IPv6 in this kernel.
    }
    for (const line of text.split('\n').slice(1)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === LISTEN && Number.parseInt(local?.split(':')[1] ?? '', 16) === port)
        sockets.add(`socket:[${inode}]`);
    }
  }
  return sockets;
}

function socketsOf(pid: number): string[] | undefined {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).map((fd) => {
      try {
        return readlinkSync(`${folder}/${fd}`);
      } catch {
        return ''; // Closed meanwhile.
      }
    });
  } catch {
    return undefined; // Ended, or another user's.
  }
}
