import { heartbeat, log } from '@temporalio/activity';
import { checkInput } from '../src/contracts/common.js';
import { checkHealthInput } from '../src/contracts/health.js';
import { deliverAlerts } from '../src/health/deliver.js';
import type { HealthResources } from '../src/health/resources.js';
import { sweepInstallation, sweepTenant, sweepTenants } from '../src/health/sweep.js';
import type { NoticeWebhook } from '../src/notices/webhook.js';
import { askForDelivery } from '../src/operations/start.js';
import type { AlertEvent } from '../src/registry/alertEvents.js';
import { heartbeating } from './heartbeat.js';
import type { HealthActivities } from './types.js';

export interface HealthDependencies extends HealthResources {
  /** Told of alerts; undefined when nobody is. */
  readonly webhook: NoticeWebhook | undefined;
}

export function createHealthActivities({ webhook, ...resources }: HealthDependencies): HealthActivities {
  return {
    checkInstallation: () => heartbeating(() => sweepInstallation(resources)),

    async checkTenants({ tenant: given, after }) {
      const { tenant } = checkInput(checkHealthInput, { tenant: given });
      return heartbeating(async () => {
        if (tenant === null) return sweepTenants(resources, after, (at) => heartbeat({ tenant: at }));
        const { opened, resolved } = await sweepTenant(resources, tenant);
        return { checked: 1, opened, resolved, next: null };
      });
    },

    async requestDelivery() {
      await askForDelivery(await resources.temporal());
    },

    deliverAlerts: () => heartbeating(() => deliverAlerts({ pool: resources.pool, webhook, log: logged })),
  };
}

/** The log is one of those that are told: what a person should see at once is a warning or worse. */
function logged({ event, alert, severity, tenant, check, message, fix }: AlertEvent, failure?: string): void {
  const fields = { alert, severity, tenant: tenant ?? '-', check, message, ...(fix === null ? {} : { fix }) };
  if (failure !== undefined) log.warn('alert webhook failed', { alert, failure });
  else if (event === 'resolved') log.info('alert resolved', fields);
  else if (severity === 'critical') log.error(`alert ${event}`, fields);
  else if (severity === 'warning') log.warn(`alert ${event}`, fields);
  else log.info(`alert ${event}`, fields);
}
