import { heartbeat } from '@temporalio/activity';
import { checkInput } from '../src/contracts/common.js';
import {
  backupTenantInput,
  type BackupTenantResult,
  verifyBackupInput,
} from '../src/contracts/backupOperations.js';
import { compareSlice, storeSlice } from '../src/backup/slices.js';
import { type BackupResources, writerOf } from '../src/backup/writer.js';
import { manifestOf, tidyFolder, totalsOf } from '../src/backup/finish.js';
import { giveUpBackup } from '../src/backup/giveUp.js';
import { newDataKey } from '../src/backup/format/keys.js';
import { readManifest, writeManifest } from '../src/backup/format/manifest.js';
import { namespaceOf } from '../src/backup/namespaces.js';
import { requireOwnTenant } from '../src/access/ownTenant.js';
import { ownBackup } from '../src/backup/ownership.js';
import { writeConfigPart, writeSchemaParts, writeVideosPart } from '../src/backup/registryParts.js';
import { writeTraceParts } from '../src/backup/traceParts.js';
import { slicesFor } from '../src/backup/documents/slices.js';
import { TRACE_KINDS } from '../src/backup/traces/lines.js';
import { verifyBackup } from '../src/backup/verify.js';
import { OpsError } from '../src/domain/errors.js';
import { workflowIds } from '../src/domain/naming.js';
import {
  beginRegistryParts,
  nextTracePart,
  partsOf,
  planSlices,
  replaceParts,
  requireAttempt,
  restartSlices,
  slicesOf,
} from '../src/registry/backupProgress.js';
import {
  completeBackup,
  findBackup,
  folderOf,
  forgetProgress,
  getBackup,
  insertBackup,
  lockCompleteBackup,
  noteVerified,
} from '../src/registry/backups.js';
import { transaction } from '../src/registry/database.js';
import { renewFence } from '../src/registry/fence.js';
import { beginOperation, closeOperation, endOperation } from '../src/registry/operationLog.js';
import { schemasOf } from '../src/registry/schemas.js';
import { getLife, lockTenant } from '../src/registry/tenants.js';
import { countFound } from '../src/vespa/search.js';
import { toolVersion } from '../src/version.js';
import { heartbeating } from './heartbeat.js';
import type { BackupActivities, BackupKey } from './types.js';

/** What a backup does on the control workers. */
export type BackupLedgerActivities = Pick<
  BackupActivities,
  'beginBackup' | 'restartSlice' | 'failBackup' | 'beginVerify' | 'failVerify'
>;
/** What moves data. */
export type BackupDataActivities = Omit<BackupActivities, keyof BackupLedgerActivities>;

export function createBackupLedgerActivities(resources: BackupResources): BackupLedgerActivities {
  const { pool, shelf, documents } = resources;
  return {
    async beginBackup(raw) {
      const input = checkInput(backupTenantInput, raw);
      const { tenant, operation, backup, principal, reason, consistency } = input;
      requireOwnTenant(input.principalTenant, tenant);
      // Said now, and not after hours of reading.
      await shelf.signingKey();
      const key = await shelf.keyEncryptionKey();
      const encryption = key ? newDataKey(key, { tenant, backup }).encryption : null;
      await shelf.store(shelf.location);
      const { incarnation } = await transaction(pool, async (tx) => {
        const life = await lockTenant(tx, tenant, 'backup');
        await beginOperation(
          tx,
          {
            ...{ operation, kind: 'backupTenant', tenant, incarnation: life.incarnation, principal, reason },
            workflowId: workflowIds.backup(tenant, backup),
            input: { backup },
          },
          'backup',
          { backup, consistency },
        );
        const row = { backup, tenant, incarnation: life.incarnation, operation, store: shelf.location };
        await insertBackup(tx, { ...row, consistencyAsked: consistency, encryption });
        return life;
      });
      for (const { baseSchema: base, schemaName: schema, state } of await schemasOf(pool, incarnation)) {
        if (state !== 'deployed') continue;
        const slices = slicesFor((await countFound(documents, schema)) ?? 0);
        await planSlices(pool, backup, { base, schema, slices, namespace: namespaceOf(base) });
      }
      const slices = (await slicesOf(pool, backup)).map(({ base, slice }) => ({ base, slice }));
      return { incarnation, slices };
    },

    async restartSlice({ backup, base, slice }) {
      await restartSlices(pool, backup, base, slice);
    },

    async failBackup({ backup, operation, state, failure }) {
      const row = await findBackup(pool, backup);
      // Refused before it was registered, or complete after all: nothing is to be taken away.
      if (row?.operation === operation) await heartbeating((signal) => giveUpBackup(resources, row, signal));
      await closeOperation(pool, operation, 'backup', { state, error: failure }, { ...failure });
    },

    async beginVerify(raw) {
      const input = checkInput(verifyBackupInput, raw);
      const { backup, operation, principal, reason } = input;
      return transaction(pool, async (tx) => {
        await ownBackup(tx, input.principalTenant, backup);
        const { tenant, incarnation } = await lockCompleteBackup(tx, backup);
        const workflowId = workflowIds.verifyBackup(tenant, operation);
        await beginOperation(
          tx,
          {
            ...{ operation, kind: 'verifyBackup', tenant, incarnation, principal, reason, workflowId },
            input: { backup },
          },
          'backup-verify',
          { backup },
        );
        return { tenant };
      });
    },

    async failVerify({ operation, state, failure }) {
      await closeOperation(pool, operation, 'backup-verify', { state, error: failure }, { ...failure });
    },
  };
}

export function createBackupDataActivities(resources: BackupResources): BackupDataActivities {
  const { pool, shelf, phoenix, configServer } = resources;
  return {
    backUpSlice: (key) => heartbeating((signal) => storeSlice(resources, key, signal)),

    compareSlice: (key) => heartbeating(async (signal) => compareSlice(resources, key, signal)),

    async backUpRegistry(key) {
      return heartbeating(async (signal) => {
        const { row, place, ...writer } = await writerOf(resources, key, signal);
        const attempt = await beginRegistryParts(pool, row.backup);
        const beforeStored = () => requireAttempt(pool, row.backup, attempt);
        const options = { ...writer.options, beforeStored };
        const slices = await slicesOf(pool, row.backup);
        const schemas = [...Map.groupBy(slices, ({ base }) => base).values()].map(([slice]) => slice!);
        const config = await writeConfigPart(pool, place, row.incarnation, options);
        const videos = await writeVideosPart(pool, place, row.incarnation, options);
        const texts = await writeSchemaParts(configServer, place, schemas, options);
        const parts = [config, videos, ...texts];
        await replaceParts(pool, row.backup, ['config', 'videos', 'schema'], parts, attempt);
        return { versions: config.count, videos: videos.count };
      });
    },

    async backUpTraces(key) {
      const { phoenixProject } = await getLife(pool, key);
      return heartbeating(async (signal) => {
        const { row, place, options } = await writerOf(resources, key, signal);
        const { parts, counts } = await writeTraceParts({
          ...{ phoenix, project: phoenixProject, place, options },
          nextNumber: () => nextTracePart(pool, row.backup),
          call: { signal, heartbeat: () => heartbeat() },
        });
        await replaceParts(pool, row.backup, TRACE_KINDS, parts);
        return counts;
      });
    },

    async finishBackup({ passes, settled, fencedFrom, now, ...key }): Promise<BackupTenantResult> {
      const { row, place } = await writerOf(resources, key);
      if (row.state === 'complete') return resultOf(resources, key);
      const parts = await partsOf(pool, row.backup);
      await heartbeating((signal) => tidyFolder(place, parts, signal));
      const life = await getLife(pool, key);
      const slices = await slicesOf(pool, row.backup);
      await requireSameSchemas(resources, key, slices);
      // The fence counts only if it stood all the time.
      const fenced = fencedFrom !== null && (await renewFence(pool, key));
      // Of two clocks: the registry's, and Temporal's.
      const endedAt = new Date(Math.max(now, Date.parse(fencedFrom ?? row.startedAt)));
      const fence = fenced ? { from: utc(fencedFrom), until: endedAt.toISOString() } : null;
      const manifest = manifestOf(row, slices, parts, toolVersion, {
        template: life.template,
        project: parts.some(({ kind }) => kind === 'spans') ? life.phoenixProject : null,
        consistency: { achieved: fenced ? 'fenced' : settled ? 'settled' : 'fuzzy', passes, fence },
        endedAt,
      });
      await writeManifest(place, manifest, await shelf.signingKey());
      const read = await readManifest(place, await shelf.trustedKeys());
      if (!read.ok)
        throw new Error(`the manifest does not read as it was written: ${read.errors.join('; ')}`);
      const totals = totalsOf(manifest);
      await transaction(pool, async (tx) => {
        const consistency = manifest.consistency.achieved;
        if (!(await completeBackup(tx, row.backup, { ...totals, consistency, endedAt }))) {
          await writerOf(resources, key);
          return;
        }
        await forgetProgress(tx, row.backup);
        await endOperation(tx, row.operation, 'backup', { state: 'completed', counts: { ...totals } });
      });
      return resultOf(resources, key);
    },

    async checkBackup(raw) {
      const { backup, operation, sample } = checkInput(verifyBackupInput, raw);
      const row = await getBackup(pool, backup);
      const place = await shelf.placeOf(row);
      const verdict = await heartbeating(async (signal) =>
        verifyBackup(place, {
          ...(await shelf.verifyKeys(row)),
          sample,
          signal,
          onProgress: ({ parts, bytes }) => heartbeat({ parts, bytes }),
        }),
      );
      const { ok, errors, parts, documents, bytes } = verdict;
      // A sample that is good says nothing of the rest.
      if (!ok || sample === undefined) await noteVerified(pool, backup, ok);
      await closeOperation(
        pool,
        operation,
        'backup-verify',
        { state: ok ? 'completed' : 'completed_with_failures', counts: { parts, documents, bytes } },
        { backup, ok, errors: errors.slice(0, 5) },
      );
      return { backup, ok, errors, parts, documents, bytes, operation };
    },
  };
}

/** A schema that came or went meanwhile would be missing without a word. */
async function requireSameSchemas(
  { pool }: BackupResources,
  key: BackupKey,
  slices: readonly { readonly base: string; readonly schema: string }[],
): Promise<void> {
  const owned = (await schemasOf(pool, key.incarnation)).filter(({ state }) => state === 'deployed');
  const now = owned.map(({ baseSchema, schemaName }) => `${baseSchema} ${schemaName}`).toSorted();
  const then = [...new Set(slices.map(({ base, schema }) => `${base} ${schema}`))].toSorted();
  if (now.join() !== then.join())
    throw new OpsError(
      'Conflict',
      `schemas of tenant ${key.tenant} were changed while it was backed up`,
      `back it up again: cvops backup create ${key.tenant}`,
    );
}

async function resultOf({ pool }: BackupResources, key: BackupKey): Promise<BackupTenantResult> {
  const row = await getBackup(pool, key.backup);
  const { backup, tenant, operation, documents, memories, spans, bytes, consistencyAsked } = row;
  return {
    ...{ backup, tenant, operation, documents, memories, spans, bytes },
    path: `${row.store}/${folderOf(row)}`,
    consistency: row.consistency!,
    asked: consistencyAsked,
  };
}

function utc(time: string): string {
  return new Date(time).toISOString();
}
