import type { ServiceDefinition, ServiceName } from './definition.js';
import { phoenix } from './phoenix.js';
import { postgres } from './postgres.js';
import { temporal } from './temporal.js';
import { vespa } from './vespa.js';
import { worker } from './worker.js';

export type { ServiceDefinition, ServiceName, StackContext } from './definition.js';

/** All services, each after what it needs. */
export const SERVICES: readonly ServiceDefinition[] = [
  postgres,
  temporal,
  phoenix,
  vespa,
  worker('control'),
  worker('data'),
];

/** The named services and all they need, in the order of their start. */
export function servicesFor(names: readonly ServiceName[] | undefined): readonly ServiceDefinition[] {
  if (names === undefined) return SERVICES;
  const wanted = new Set<ServiceName>();
  const add = (name: ServiceName): void => {
    wanted.add(name);
    SERVICES.find((s) => s.name === name)?.after.forEach(add);
  };
  names.forEach(add);
  return SERVICES.filter(({ name }) => wanted.has(name));
}
