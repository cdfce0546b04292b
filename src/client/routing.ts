import { checkInput } from '../contracts/common.js';
import { type RouteInput, type RouteResult, routeInput } from '../contracts/routing.js';
import { routeTenant } from '../routing/routeTenant.js';
import type { Connections } from './connections.js';

/** Routes queries to agents, straight from this process. */
export class RoutingClient {
  constructor(private readonly connections: Connections) {}

  /** @throws OpsError `NotFound`, `WrongState`, `InvalidInput` */
  async route(raw: RouteInput): Promise<RouteResult> {
    const { pool, settings, telemetry: tracing, referenceRules: rules } = this.connections;
    const input = checkInput(routeInput, raw);
    await this.connections.authorize('route', input.tenant);
    return routeTenant({ pool, tracing, rules, allowedPrivate: settings.allowedPrivateHosts }, input);
  }
}
