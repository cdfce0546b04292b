import { readFileSync } from 'node:fs';

/**
 * What Linux says of a process: its state (`Z`: a zombie), and when it began in clock ticks since boot, which tells it
 * from a later one of the same id. Undefined when there is none, or no /proc.
 */
export function processStat(pid: number): { readonly state: string; readonly started: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, second and in parentheses, may hold spaces and parentheses itself; the start is field 22.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const started = fields[18];
    return state === undefined || started === undefined ? undefined : { state, started };
  } catch {
    return undefined;
  }
}
