import type { StackAddresses } from '../../settings.js';
import type { PortName, Ports } from '../ports.js';
import type { PostgresUrls } from '../postgres.js';
import type { Command } from '../processes.js';

export type ServiceName = 'postgres' | 'temporal' | 'phoenix' | 'vespa' | 'worker-control' | 'worker-data';

/** What a service needs to know to be described: where things are and how to say what it does. */
export interface StackContext {
  readonly home: string;
  readonly ports: Ports;
  readonly addresses: StackAddresses;
  readonly database: PostgresUrls;
  readonly external: ReadonlySet<string>;
  readonly temporalNamespace: string;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** One process of the stack. */
export interface ServiceDefinition {
  readonly name: ServiceName;
  /** What must be up before it starts. */
  readonly after: readonly ServiceName[];
  readonly ports: readonly PortName[];
  /** The long part that needs nobody else, such as an install: done at once, while others start. */
  readonly prepare?: (context: StackContext) => Promise<void>;
  readonly command: (context: StackContext) => Promise<Command>;
  /** Throws, or answers false, until the service does its work. `logText` is what it printed since its start. */
  readonly healthy: (context: StackContext, logText: string) => Promise<boolean>;
  /** Once it is up, and before anything that needs it starts; safe to do again. */
  readonly afterStart?: (context: StackContext) => Promise<void>;
  readonly stopSignal: NodeJS.Signals;
  /** How long it may take to end by itself. */
  readonly stopMs: number;
}
