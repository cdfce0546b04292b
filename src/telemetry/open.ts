import type { Pool } from '../registry/database.js';
import { traceDestination } from '../registry/traceDestinations.js';
import type { Settings } from '../settings.js';
import { Telemetry } from './telemetry.js';

/** The telemetry of a process: destinations come from its registry. */
export function openTelemetry({ phoenixUrl }: Pick<Settings, 'phoenixUrl'>, pool: Pool): Telemetry {
  return new Telemetry({ phoenixUrl, destinationOf: (tenant) => traceDestination(pool, tenant) });
}
