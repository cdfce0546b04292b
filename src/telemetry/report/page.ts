import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { MeasuredTenant, MetricsRange, TenantMetrics } from '../metrics/metrics.js';
import { DRAW } from './draw.js';
import { STYLE } from './style.js';

export interface ReportTenant extends Pick<MeasuredTenant, 'metrics' | 'overTime'> {
  readonly tenant: string;
}

export interface Report extends MetricsRange {
  readonly report: readonly ReportTenant[];
  readonly pooled?: Omit<TenantMetrics, 'by_kind'>;
  readonly madeAt: Date;
}

/**
 * One HTML file with uPlot in it: it opens anywhere, asks no network (its policy forbids it) and names nothing but the
 * tenants. Figures are in tables; a chart only shows them again.
 */
export function reportPage({ report, pooled, madeAt, from, to }: Report): string {
  const tenants = report.toSorted((a, b) => b.metrics.total_queries - a.metrics.total_queries);
  const range = `${from ? day(from) : 'the beginning'} to ${to ? day(to) : 'now'}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Queries by tenant</title>
<style>${library('uPlot.min.css')}
${STYLE}</style>
</head>
<body>
<header>
<h1>Queries by tenant</h1>
<p>Searches that began from ${range}. Made ${minute(madeAt)} UTC from the traces in Phoenix.</p>
</header>
<main>
${overview(tenants, pooled)}
${tenants.map(section).join('\n')}
</main>
<footer><p>Success: the share of queries whose span is no error. Latency: from the start of a query's span to its end; the
average is exact, percentiles marked ~ are within 1 % of a latency with that rank. Pooled: over the queries of all
tenants together.</p></footer>
<script type="application/json" id="data">${json(tenants.map(series))}</script>
<script>${library('uPlot.iife.min.js')}</script>
<script>${DRAW}</script>
</body>
</html>
`;
}

function overview(tenants: readonly ReportTenant[], pooled: Report['pooled']): string {
  const rows = tenants.map(({ tenant, metrics }) => [
    `<a href="#${escape(tenant)}">${escape(tenant)}</a>`,
    ...cells(metrics),
  ]);
  const foot = pooled ? `<tfoot>${tableRow(['all tenants, pooled', ...cells(pooled)])}</tfoot>` : '';
  return `<section aria-labelledby="overview"><h2 id="overview">Overview</h2>
${tenants.length === 0 ? '<p>There is no tenant.</p>' : ''}
<div class="scroll" role="region" aria-labelledby="overview" tabindex="0"><table>
${tableHead(['Tenant', ...COLUMNS])}<tbody>${rows.map(tableRow).join('')}</tbody>${foot}</table></div></section>`;
}

const COLUMNS = ['Queries', 'Success', 'Average', 'P50', 'P95', 'P99'];

function cells(metrics: Omit<TenantMetrics, 'by_kind'>): string[] {
  const { exact } = metrics;
  return [
    metrics.total_queries.toLocaleString('en'),
    percent(metrics.success_rate),
    ms(metrics.avg_latency_ms, true),
    ms(metrics.p50_latency_ms, exact),
    ms(metrics.p95_latency_ms, exact),
    ms(metrics.p99_latency_ms, exact),
  ];
}

function section({ tenant, metrics, overTime }: ReportTenant, index: number): string {
  const kinds = Object.entries(metrics.by_kind).map(([kind, { total, ...rest }]) =>
    tableRow([escape(kind), ...cells({ total_queries: total, ...rest })]),
  );
  const others =
    kinds.length === 0
      ? ''
      : `<details><summary>Other requests by kind</summary><div class="scroll"><table>${tableHead(['Kind', ...COLUMNS])}<tbody>${kinds.join('')}</tbody></table></div></details>`;
  const { bins, widthMs } = overTime;
  const charts =
    bins.length === 0
      ? '<p>No query in this time.</p>'
      : `<div class="charts">
<figure><figcaption>Latency, ms</figcaption><div class="chart" data-tenant="${index}" data-chart="latency" role="img" aria-label="Latency of ${escape(tenant)} over time: P50 ${ms(metrics.p50_latency_ms, true)}, P95 ${ms(metrics.p95_latency_ms, true)} overall"></div></figure>
<figure><figcaption>Success, %</figcaption><div class="chart" data-tenant="${index}" data-chart="success" role="img" aria-label="Success of ${escape(tenant)} over time: ${percent(metrics.success_rate)} overall"></div></figure>
</div>
<details><summary>The figures of the charts, in steps of ${duration(widthMs)}</summary><div class="scroll"><table>${tableHead(['From (UTC)', ...COLUMNS])}<tbody>${bins
          .map(({ at, total, ...rest }) =>
            tableRow([minute(new Date(at)), ...cells({ total_queries: total, ...rest })]),
          )
          .join('')}</tbody></table></div></details>`;
  return `<section aria-labelledby="${escape(tenant)}"><h2 id="${escape(tenant)}">${escape(tenant)}</h2>
${charts}
${others}</section>`;
}

/**
 * What the script draws: columns, as uPlot wants them; times in seconds. A step without a query is a gap, over which no line
 * is drawn.
 */
function series({ overTime }: ReportTenant) {
  const bins = overTime.bins.flatMap((bin, i, { [i - 1]: before }) =>
    before && bin.at - before.at > overTime.widthMs
      ? [{ ...NOTHING, at: before.at + overTime.widthMs }, bin]
      : [bin],
  );
  return {
    at: bins.map(({ at }) => at / 1000),
    p50: bins.map((bin) => bin.p50_latency_ms),
    p95: bins.map((bin) => bin.p95_latency_ms),
    success: bins.map((bin) => (bin.success_rate === null ? null : bin.success_rate * 100)),
  };
}

const NOTHING = { p50_latency_ms: null, p95_latency_ms: null, success_rate: null };

function tableHead(names: readonly string[]): string {
  return `<thead><tr>${names.map((name) => `<th scope="col">${name}</th>`).join('')}</tr></thead>`;
}

function tableRow([first, ...rest]: readonly string[]): string {
  return `<tr><th scope="row">${first}</th>${rest.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
}

function percent(share: number | null): string {
  return share === null ? '–' : `${(share * 100).toFixed(2)} %`;
}

function ms(value: number | null, exact: boolean): string {
  return value === null ? '–' : `${exact ? '' : '~'}${decimals(value, value < 10 ? 2 : 0)} ms`;
}

function decimals(value: number, digits: number): string {
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function duration(milliseconds: number): string {
  const minutes = milliseconds / 60_000;
  if (minutes < 60) return `${minutes} min`;
  return minutes < 1440 ? `${minutes / 60} h` : `${minutes / 1440} d`;
}

/** In UTC. */
function minute(date: Date): string {
  return date.toISOString().slice(0, 16).replace('T', ' ');
}

function day(date: Date): string {
  return escape(date.toISOString().replace(/T00:00:00\.000Z$/, ''));
}

function library(file: string): string {
  return readFileSync(createRequire(import.meta.url).resolve(`uplot/dist/${file}`), 'utf8');
}

/** Within a script element nothing may look like its end. */
function json(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}
