import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { CvopsClient } from '../client/index.js';
import type { MetricsRange, TenantMetrics } from '../client/metrics.js';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseTenantId } from '../domain/ids.js';
import { parseTime } from '../domain/times.js';
import type { MeasuredTenant } from '../telemetry/metrics/metrics.js';
import { type ReportTenant, reportPage } from '../telemetry/report/page.js';
import { type CommonOptions, withClient, withOutput } from './context.js';
import { answer, note, table } from './output.js';
import { localPath } from './localPath.js';

interface MetricsOptions extends CommonOptions {
  readonly all: boolean;
  readonly from?: Date;
  readonly to?: Date;
  readonly html?: string;
}

export function addMetricsCommand(program: Command): void {
  withOutput(
    program
      .command('metrics [id]')
      .description('queries, success and latency from the traces in Phoenix')
      .option('--all', 'every tenant, and all of them pooled; for administrators', false)
      .option(
        '--from <time>',
        'queries that began at or after it, such as 2026-11-01 or 2026-11-01T12:00Z',
        parseTime,
      )
      .option('--to <time>', 'queries that began before it', parseTime)
      .option('--html <file>', 'write a report with charts, one file that needs no network'),
  ).action(async (id: string | undefined, options: MetricsOptions) => {
    if ((id === undefined) !== options.all)
      throw new OpsError(
        'InvalidInput',
        'name one tenant, or --all',
        'cvops metrics ID, or cvops metrics --all',
      );
    const tenant = id === undefined ? undefined : parseTenantId(id);
    await withClient(async (client) => {
      const report: ReportTenant[] = [];
      const measured = await measure(client, tenant, options, (of, { metrics, overTime }) =>
        report.push({ tenant: of, metrics, overTime }),
      );
      if (options.html !== undefined) {
        await writeFile(
          localPath(options.html),
          reportPage({ ...options, ...measured, report, madeAt: new Date() }),
        );
        note(`report written to ${options.html}`);
      }
      answer(options.output, measured, () => {
        const rows = Object.entries(measured.tenants).map(([tenant, metrics]) => row(tenant, metrics));
        if ('pooled' in measured) rows.push(row('(all, pooled)', measured.pooled));
        return table(['TENANT', 'QUERIES', 'SUCCESS', 'AVG MS', 'P50 MS', 'P95 MS', 'P99 MS'], rows);
      });
    });
  });
}

async function measure(
  client: CvopsClient,
  tenant: TenantId | undefined,
  range: MetricsRange,
  each: (tenant: string, measured: MeasuredTenant) => void,
) {
  if (tenant === undefined) return client.metrics.all(range, each);
  const measured = await client.metrics.tenant(tenant, range);
  each(tenant, measured);
  return { tenants: { [tenant]: measured.metrics } };
}

function row(tenant: string, m: Omit<TenantMetrics, 'by_kind'>): (string | number)[] {
  const ms = (value: number | null) => (value === null ? '-' : `${m.exact ? '' : '~'}${value.toFixed(1)}`);
  const success = m.success_rate === null ? '-' : `${(m.success_rate * 100).toFixed(2)} %`;
  const average = m.avg_latency_ms === null ? '-' : m.avg_latency_ms.toFixed(1);
  return [
    ...[tenant, m.total_queries, success, average],
    ...[m.p50_latency_ms, m.p95_latency_ms, m.p99_latency_ms].map(ms),
  ];
}
