import { readFileSync, readdirSync } from 'node:fs';

/** Kernel ticks a second, as every Linux that Node runs on has them. */
const TICKS = 100;

/** What a process and all its descendants have used. Linux only: elsewhere all is zero. */
export interface Usage {
  /** Processor seconds, children that have ended (ffmpeg, Postgres backends) included. */
  readonly cpuSeconds: number;
  /** Resident memory of the process alone, MiB. */
  readonly rssMb: number;
}

export function usageOf(pid: number): Usage {
  if (process.platform !== 'linux') return { cpuSeconds: 0, rssMb: 0 };
  const stats = allStats();
  const children = Map.groupBy(stats.values(), ({ parent }) => parent);
  const ticks = (of: number): number =>
    (stats.get(of)?.ticks ?? 0) + (children.get(of) ?? []).reduce((sum, child) => sum + ticks(child.pid), 0);
  return { cpuSeconds: ticks(pid) / TICKS, rssMb: rssMb(pid) };
}

/** Processor seconds that each of some processes uses from now on. */
export class CpuMeter {
  private readonly began: Readonly<Record<string, number>>;

  /** @param pids by the names to show them under */
  constructor(private readonly pids: Readonly<Record<string, number>>) {
    this.began = this.now();
  }

  read(): Record<string, number> {
    const now = this.now();
    return Object.fromEntries(
      Object.entries(this.began).map(([name, before]) => [name, Number((now[name]! - before).toFixed(1))]),
    );
  }

  private now(): Record<string, number> {
    return Object.fromEntries(
      Object.entries(this.pids).map(([name, pid]) => [name, usageOf(pid).cpuSeconds]),
    );
  }
}

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
}

function allStats(): Map<number, Stat> {
  const stats = new Map<number, Stat>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const text = readOrEmpty(`/proc/${name}/stat`);
    // The name in parentheses may hold spaces and parentheses itself.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11, 15).map(Number);
    const ticks = user + system + endedUser + endedSystem;
    stats.set(Number(name), { pid: Number(name), parent: Number(fields[1]), ticks });
  }
  return stats;
}

function rssMb(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1];
  return Math.round(Number(kib ?? 0) / 1024);
}

/** A process may end between being listed and being read. */
function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
