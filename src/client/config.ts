import type { z } from 'zod';
import { checkInput } from '../contracts/common.js';
import {
  configDiffInput,
  configHistoryInput,
  configReadInput,
  configWriteInput,
} from '../contracts/config.js';
import { type ConfigChange, diffConfig } from '../domain/config/diff.js';
import { OpsError } from '../domain/errors.js';
import type { ConfigVersion } from '../registry/config.js';
import { TRACE_RETENTION, placeName } from '../domain/config/keys.js';
import { PhoenixClient, PhoenixError } from '../phoenix/client.js';
import type { Pool } from '../registry/database.js';
import { getTenant } from '../registry/tenants.js';
import {
  type Template,
  getTemplate,
  listTemplates,
  removeTemplate,
  setTemplate,
} from '../registry/templates.js';
import { type Settings, ownHosts } from '../settings.js';
import {
  type ConfigTarget,
  type ConfigWriteWhat,
  type ConfigWritten,
  readConfig,
  readHistory,
  writeConfig,
} from '../tenants/config.js';
import { applyTraceRetention } from '../tenants/traceRetention.js';
import type { Connections } from './connections.js';

export type { ConfigTarget, ConfigWriteWhat, ConfigWritten } from '../tenants/config.js';

export interface ConfigWriteRequest {
  readonly at: ConfigTarget;
  readonly what: ConfigWriteWhat;
  readonly expectVersion?: number | undefined;
  readonly reason: string;
  readonly dryRun: boolean;
}

export interface ConfigDiff {
  readonly from: number;
  readonly to: number;
  readonly changes: readonly ConfigChange[];
}

/** What of the connections is needed here. */
type Asking = Pick<
  Connections,
  'pool' | 'settings' | 'principal' | 'authorize' | 'referenceWriter' | 'orDenied'
>;

const PAGE = 500;

/** Configuration of tenants: read, written, compared and rolled back, straight in the registry. */
export class ConfigClient {
  private readonly pool: Pool;
  private readonly settings: Settings;

  constructor(private readonly connections: Asking) {
    ({ pool: this.pool, settings: this.settings } = connections);
  }

  /** The latest version, or the one asked for. @throws OpsError `NotFound`, `WrongState` */
  async get(at: ConfigTarget, version?: number): Promise<ConfigVersion> {
    const input = checkInput(configReadInput, { at, version });
    await this.connections.authorize('config get', input.at.tenant);
    return readConfig(this.pool, input.at, input.version);
  }

  /**
   * A new version; with `dryRun` only what it would be.
   *
   * @throws OpsError `InvalidInput` naming each field, `NotFound`, `WrongState`, `Conflict`; `PermissionDenied` when the
   *   principal may not refer to a secret, or have it sent elsewhere; `PartlyDone` when it is
   *   written and Phoenix, which it also concerns, does not take it
   */
  async write(request: ConfigWriteRequest): Promise<ConfigWritten> {
    const { principal } = this.connections;
    const input = checkInput(configWriteInput, { ...request, principal });
    const verb = request.what.kind === 'rollback' ? 'config rollback' : 'config set';
    await this.connections.authorize(verb, input.at.tenant);
    const write = {
      ...{ ...input, allowedPrivate: ownHosts(this.settings), references: this.connections.referenceWriter },
    };
    const written = await this.connections.orDenied(verb, input.at.tenant, writeConfig(this.pool, write));
    if (!request.dryRun && placeName(input.at) === placeName(TRACE_RETENTION)) await this.apply(input.at);
    return written;
  }

  private async apply({ tenant }: ConfigTarget): Promise<void> {
    try {
      const row = await getTenant(this.pool, tenant);
      await applyTraceRetention(this.pool, new PhoenixClient(this.settings.phoenixUrl), row);
    } catch (error) {
      if (!(error instanceof PhoenixError)) throw error;
      throw new OpsError(
        'PartlyDone',
        `the configuration is written, but Phoenix did not take it: ${error.message}`,
        'it is tried again every day; or write it again when Phoenix is back',
      );
    }
  }

  /** Newest first. @throws OpsError `NotFound`, `WrongState` */
  async history(
    at: ConfigTarget,
    page: Omit<z.input<typeof configHistoryInput>, 'at'> = {},
  ): Promise<ConfigVersion[]> {
    const { limit = Infinity, ...input } = checkInput(configHistoryInput, { at, ...page });
    await this.connections.authorize('config history', input.at.tenant);
    const versions: ConfigVersion[] = [];
    let before = input.before;
    while (versions.length < limit) {
      const wanted = Math.min(PAGE, limit - versions.length);
      const found = await readHistory(this.pool, input.at, { before, limit: wanted });
      versions.push(...found);
      if (found.length < wanted) break;
      before = found.at(-1)!.version;
    }
    return versions;
  }

  /** @throws OpsError `NotFound`, `WrongState`, `InvalidInput` when there is only one version to compare */
  async diff(at: ConfigTarget, from?: number, to?: number): Promise<ConfigDiff> {
    const input = checkInput(configDiffInput, { at, from, to });
    await this.connections.authorize('config diff', input.at.tenant);
    const after = await readConfig(this.pool, input.at, input.to);
    const first = input.from ?? after.version - 1;
    if (first < 1)
      throw new OpsError(
        'InvalidInput',
        'version 1 has none before it',
        'name the versions with --from and --to',
      );
    const before = await readConfig(this.pool, input.at, first);
    return { from: before.version, to: after.version, changes: diffConfig(before.value, after.value) };
  }
}

/** Templates of new tenants. */
export class TemplateClient {
  constructor(private readonly connections: Asking) {}

  async list(): Promise<Template[]> {
    await this.connections.authorize('template list');
    return listTemplates(this.connections.pool);
  }

  /** @throws OpsError `NotFound` */
  async show(name: string): Promise<Template> {
    await this.connections.authorize('template show');
    return getTemplate(this.connections.pool, name);
  }

  /** @throws OpsError `InvalidInput` */
  async set(template: Parameters<typeof setTemplate>[1], reason: string): Promise<Template> {
    const { pool, principal } = this.connections;
    await this.connections.authorize('template set');
    return setTemplate(pool, template, { principal, reason });
  }

  /** @returns what is removed, or would be. @throws OpsError `NotFound`, `InvalidInput` for a built-in one */
  async remove(name: string, reason: string, dryRun = false): Promise<Template> {
    const { pool, principal } = this.connections;
    await this.connections.authorize('template remove');
    return removeTemplate(pool, name, { principal, reason, dryRun });
  }
}
