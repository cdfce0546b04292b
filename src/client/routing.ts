import { requireOwnTenant } from '../backup/ownership.js';
import { checkInput } from '../contracts/common.js';
import { type RouteInput, type RouteResult, routeInput } from '../contracts/routing.js';
import { SpanSender } from '../phoenix/spans.js';
import { routeTenant } from '../routing/routeTenant.js';
import type { Connections } from './connections.js';

/** Routes queries to agents, straight from this process. */
export class RoutingClient {
  private spans: SpanSender | undefined;

  constructor(private readonly connections: Connections) {}

  /** @throws OpsError `NotFound`, `WrongState`, `InvalidInput` */
  async route(raw: RouteInput): Promise<RouteResult> {
    const { pool, settings, principalTenant } = this.connections;
    const input = checkInput(routeInput, raw);
    requireOwnTenant(principalTenant, input.tenant);
    const { allowedPrivateHosts: allowedPrivate } = settings;
    return routeTenant({ pool, spans: this.sender(), allowedPrivate }, input);
  }

  private sender(): SpanSender {
    if (this.spans === undefined) {
      const spans = new SpanSender(this.connections.settings.phoenixUrl);
      this.connections.onClose(() => spans.close());
      this.spans = spans;
    }
    return this.spans;
  }
}
