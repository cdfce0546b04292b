import { OpsError } from './errors.js';
import { type TenantId, quoteForMessage } from './ids.js';

export const QUOTA_RESOURCES = [
  'api_calls',
  'storage_mb',
  'videos',
  'documents',
  'memories',
  'concurrent_ingests',
] as const;
export type QuotaResource = (typeof QUOTA_RESOURCES)[number];
/** What a person sets: these, and the rate, which the system configuration has and nothing uses up. */
export const QUOTA_NAMES = [...QUOTA_RESOURCES, 'max_qps'] as const;
/** What a tenant has, and gives back; calls are only ever made. */
export type StockResource = Exclude<QuotaResource, 'api_calls'>;

/** How much of each, storage in bytes. */
export type Amounts = Readonly<Partial<Record<QuotaResource, number>>>;
export type StockAmounts = Readonly<Partial<Record<StockResource, number>>>;

export const QUOTA_PERIODS = ['day', 'month'] as const;
/** Of UTC's calendar. */
export type QuotaPeriod = (typeof QUOTA_PERIODS)[number];
/** What calls are counted by when nobody says otherwise. */
export const DEFAULT_PERIOD: QuotaPeriod = 'month';

/** Of one resource, storage in bytes; the time in ISO 8601. */
export interface QuotaState {
  readonly resource: QuotaResource;
  /** Null: no limit. */
  readonly max: number | null;
  readonly used: number;
  /** What work under way may come to use. */
  readonly reserved: number;
  readonly period: QuotaPeriod | null;
  readonly resetsAt: string | null;
}

/** As the command shows it, storage in 10^6 bytes. */
export type ShownQuota = Omit<QuotaState, 'resource'>;

/** What a person sets. */
export interface QuotaChange {
  readonly resource: QuotaResource;
  /** Null: no limit any more. */
  readonly max: number | null;
}

const MB = 1_000_000;
/** In bytes still exact as a number. */
const MOST = 1_000_000_000;
/** A quota is near its limit from this share on. */
export const NEAR_LIMIT = 0.9;

/** The rule, as the database applies it. A change that takes nothing is always fine. */
export function fits({ used, reserved, max }: Pick<QuotaState, 'used' | 'reserved' | 'max'>, amount: number) {
  return amount === 0 || max === null || used + reserved + amount <= max;
}

export function isNearLimit({ used, reserved, max }: Pick<QuotaState, 'used' | 'reserved' | 'max'>): boolean {
  return max !== null && used + reserved >= NEAR_LIMIT * max;
}

/** Of storage, 10^6 bytes in bytes; of all else the same. */
export function inUnits(resource: QuotaResource, shown: number): number {
  return resource === 'storage_mb' ? Math.round(shown * MB) : shown;
}

export function asShown(resource: QuotaResource, units: number): number {
  return resource === 'storage_mb' ? units / MB : units;
}

export function shownQuota(state: QuotaState): ShownQuota {
  const { resource, max, period, resetsAt } = state;
  const { used, reserved } = inUse(state);
  const held = { used: asShown(resource, used), reserved: asShown(resource, reserved) };
  return { max: max === null ? null : asShown(resource, max), ...held, period, resetsAt };
}

/**
 * `resource=max`; `none` takes the limit away.
 *
 * @throws OpsError `InvalidInput`
 */
export function parseQuotaChange(text: string): QuotaChange {
  const { name, value } = partsOf(text);
  const resource = QUOTA_RESOURCES.find((known) => known === name);
  if (resource === undefined)
    throw new OpsError(
      'InvalidInput',
      `no such quota: ${quoteForMessage(name)}`,
      `give resource=max; resources: ${QUOTA_NAMES.join(', ')}`,
    );
  if (value === 'none') return { resource, max: null };
  const max = limitOf(name, value, `give a whole number up to ${MOST}, or none`);
  return { resource, max: inUnits(resource, max) };
}

function partsOf(text: string): { readonly name: string; readonly value: string } {
  const at = text.indexOf('=');
  return at < 0 ? { name: text, value: '' } : { name: text.slice(0, at), value: text.slice(at + 1) };
}

/** @throws OpsError `InvalidInput` */
function limitOf(name: string, value: string, hint: string): number {
  if (/^[0-9]{1,10}$/.test(value) && Number(value) <= MOST) return Number(value);
  throw new OpsError('InvalidInput', `not a limit of ${name}: ${quoteForMessage(value)}`, hint);
}

/**
 * Changes of one command, each resource once.
 *
 * @param period of calls; only with them
 * @throws OpsError `InvalidInput`
 */
export function parseQuotaChanges(texts: readonly string[], period: string | undefined): QuotaChanges {
  const given = texts.map((text) => ({ text, ...partsOf(text) }));
  const rate = given.find(({ name }) => name === 'max_qps');
  const changes = given.filter(({ name }) => name !== 'max_qps').map(({ text }) => parseQuotaChange(text));
  const names = given.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new OpsError('InvalidInput', `${twice} is given twice`);
  const maxQps = rate && limitOf(rate.name, rate.value, 'give a whole number: a tenant always has a rate');
  const all = { changes, ...(maxQps === undefined ? {} : { maxQps }) };
  if (period === undefined) return all;
  const known = QUOTA_PERIODS.find((one) => one === period);
  if (known === undefined)
    throw new OpsError(
      'InvalidInput',
      `no such period: ${quoteForMessage(period)}`,
      `periods: ${QUOTA_PERIODS.join(', ')}`,
    );
  if (!changes.some(({ resource, max }) => resource === 'api_calls' && max !== null))
    throw new OpsError('InvalidInput', 'a period is of api_calls', 'give api_calls=MAX with --period');
  return { ...all, period: known };
}

export interface QuotaChanges {
  readonly changes: readonly QuotaChange[];
  readonly period?: QuotaPeriod;
  /** Requests a second; the configuration has its rule. */
  readonly maxQps?: number;
}

/** Ingests that run are reserved for as long as they do: nobody else would call that anything but used. */
function inUse({ resource, used, reserved }: QuotaState): Pick<QuotaState, 'used' | 'reserved'> {
  return resource === 'concurrent_ingests' ? { used: used + reserved, reserved: 0 } : { used, reserved };
}

/** Says what was used, asked and allowed, and when that changes. */
export function quotaExceeded(tenant: TenantId, state: QuotaState, asked: number): OpsError {
  const { resource, max, resetsAt } = state;
  const { used, reserved } = inUse(state);
  const say = (units: number) => String(asShown(resource, units));
  const held = reserved > 0 ? ` (and ${say(reserved)} reserved)` : '';
  const resets =
    resetsAt === null
      ? 'it does not reset: it is given back when something ends or is deleted'
      : `it resets at ${resetsAt}`;
  return new OpsError(
    'QuotaExceeded',
    `quota ${resource} of tenant ${tenant}: ${say(used)} used${held}, ${say(asked)} asked, ${say(max ?? 0)} allowed; ${resets}`,
    `see it with: cvops quota show ${tenant}; raise it with: cvops quota set ${tenant} ${resource}=MAX`,
  );
}

/** `max_qps` is a rate: nothing of it is used up, and its turn comes again at once. */
export function rateExceeded(
  tenant: TenantId,
  kind: string,
  perSecond: number | undefined,
  waitedMs: number,
): OpsError {
  const allowed = perSecond === undefined ? '' : ` ${perSecond} allowed,`;
  return new OpsError(
    'QuotaExceeded',
    `max_qps of tenant ${tenant}: 1 of the ${kind} a second asked,${allowed} all used for the next ${waitedMs / 1000} s; it resets from second to second`,
    `ask less often, or raise it with: cvops config set ${tenant} --set max_qps=N`,
  );
}
