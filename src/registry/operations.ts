import { OpsError } from '../domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../domain/ids.js';
import type { OperationKind, OperationState } from '../domain/states.js';
import type { Queryable } from './database.js';
import { storableJson, storableText } from './storable.js';

export interface OperationRow {
  readonly operation: OperationId;
  readonly kind: OperationKind;
  /** Null for an operation over many tenants. */
  readonly tenant: TenantId | null;
  readonly incarnation: Incarnation | null;
  readonly principal: string;
  readonly reason: string;
  readonly state: OperationState;
  readonly workflowId: string;
  /** Which run of that workflow id, where it was noted. */
  readonly runId: string | null;
  readonly counts: Readonly<Record<string, number>>;
  /** What it was asked to work on, for a run that takes it up again. */
  readonly input: Readonly<Record<string, unknown>>;
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string } | null;
  readonly startedAt: string;
  readonly endedAt: string | null;
}

const COLUMNS = `operation, kind, tenant, incarnation, principal, reason, state, workflow_id as "workflowId", run_id as "runId", counts, input, error,
  to_json(started_at)#>>'{}' as "startedAt", to_json(ended_at)#>>'{}' as "endedAt"`;

/**
 * Writes the row of a run; the same operation again finds its row.
 *
 * @returns whether this call wrote it
 * @throws OpsError `Conflict` when the id belongs to an operation of another kind or life
 */
export async function startOperation(
  db: Queryable,
  row: Pick<
    OperationRow,
    'operation' | 'kind' | 'tenant' | 'incarnation' | 'principal' | 'reason' | 'workflowId'
  > & { readonly runId?: string; readonly input?: OperationRow['input'] },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `insert into operations (operation, kind, tenant, incarnation, principal, reason, state, workflow_id, run_id, input)
     values ($1, $2, $3, $4, $5, $6, 'running', $7, $8, $9) on conflict (operation) do nothing`,
    [
      row.operation,
      row.kind,
      row.tenant,
      row.incarnation,
      storableText(row.principal),
      storableText(row.reason),
      row.workflowId,
      row.runId ?? null,
      JSON.stringify(storableJson(row.input ?? {})),
    ],
  );
  if (rowCount === 1) return true;
  return !(await startedBefore(db, row));
}

/**
 * Writes a count of a run under way, once: what a killed try has noted is what the next one goes by.
 *
 * @returns the count that stands
 * @throws OpsError `WrongState` when the run has ended
 */
export async function noteCount(
  db: Queryable,
  operation: OperationId,
  name: string,
  count: number,
): Promise<number> {
  const { rows } = await db.query<{ counts: OperationRow['counts'] }>(
    `update operations set counts = jsonb_build_object($2::text, $3::bigint) || counts
     where operation = $1 and state = 'running' returning counts`,
    [operation, name, count],
  );
  const noted = rows[0]?.counts[name];
  if (noted !== undefined) return noted;
  throw new OpsError('WrongState', `operation ${operation} has ended`);
}

/** Gives an operation that began without a tenant the life it has made. Again is fine. */
export async function attachOperation(
  db: Queryable,
  operation: OperationId,
  { tenant, incarnation }: { readonly tenant: TenantId; readonly incarnation: Incarnation },
): Promise<void> {
  await db.query(
    'update operations set tenant = $2, incarnation = $3 where operation = $1 and incarnation is null',
    [operation, tenant, incarnation],
  );
}

/**
 * Ends a run, once: a later end of the same run changes nothing.
 *
 * @returns whether this call ended it
 */
export async function finishOperation(
  db: Queryable,
  operation: OperationId,
  end: {
    readonly state: Exclude<OperationState, 'running'>;
    readonly counts?: OperationRow['counts'];
    /** With `code` and `message`. */
    readonly error?: object;
  },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update operations set state = $2, counts = $3, error = $4, ended_at = now() where operation = $1 and state = 'running'`,
    [
      operation,
      end.state,
      JSON.stringify(end.counts ?? {}),
      end.error === undefined ? null : JSON.stringify(storableJson(end.error)),
    ],
  );
  return rowCount === 1;
}

export async function findOperation(
  db: Queryable,
  operation: OperationId,
): Promise<OperationRow | undefined> {
  const { rows } = await db.query<OperationRow>(`select ${COLUMNS} from operations where operation = $1`, [
    operation,
  ]);
  return rows[0];
}

/** @throws OpsError `NotFound` */
export async function getOperation(db: Queryable, operation: OperationId): Promise<OperationRow> {
  const row = await findOperation(db, operation);
  if (row) return row;
  throw new OpsError('NotFound', `no operation ${operation}`, 'see them with: cvops op list');
}

/** Newest first; `after` is the last row of the page before. */
export async function listOperations(
  db: Queryable,
  options: {
    readonly tenant?: TenantId | undefined;
    readonly state?: OperationState | undefined;
    readonly after?: Pick<OperationRow, 'startedAt' | 'operation'> | undefined;
    readonly limit: number;
  },
): Promise<OperationRow[]> {
  const { rows } = await db.query<OperationRow>(
    `select ${COLUMNS} from operations
     where ($1::text is null or tenant = $1) and ($2::text is null or state = $2)
       and ($3::timestamptz is null or started_at < $3 or (started_at = $3 and operation > $4))
     order by started_at desc, operation limit $5`,
    [
      options.tenant ?? null,
      options.state ?? null,
      options.after?.startedAt ?? null,
      options.after?.operation ?? null,
      options.limit,
    ],
  );
  return rows;
}

/** What runs for one life, oldest first. */
export async function runningOperations(db: Queryable, incarnation: Incarnation): Promise<OperationRow[]> {
  const { rows } = await db.query<OperationRow>(
    `select ${COLUMNS} from operations where incarnation = $1 and state = 'running' order by started_at`,
    [incarnation],
  );
  return rows;
}

/** What runs for no tenant that is there: over many, before its tenant is made, or for what a purged one left. */
export async function sharedOperations(db: Queryable): Promise<OperationRow[]> {
  const { rows } = await db.query<OperationRow>(
    `select ${COLUMNS} from operations o where state = 'running' and not exists (
       select 1 from tenants t where t.incarnation = o.incarnation and t.state <> 'purged'
     ) order by started_at`,
  );
  return rows;
}

/** One that is known to belong to a life. @throws OpsError `NotFound` */
export async function getTenantOperation(
  db: Queryable,
  operation: OperationId,
): Promise<OperationRow & { readonly tenant: TenantId; readonly incarnation: Incarnation }> {
  const row = await getOperation(db, operation);
  if (row.tenant !== null && row.incarnation !== null)
    return { ...row, tenant: row.tenant, incarnation: row.incarnation };
  throw new OpsError('NotFound', `operation ${operation} is not one of a tenant`);
}

/**
 * Whether a run has its row already: the step that writes it has happened before. Who starts a run chooses its id, so that
 * of another operation is no sign of it.
 *
 * @throws OpsError `Conflict` when the id belongs to an operation of another kind or life
 */
export async function startedBefore(
  db: Queryable,
  row: Pick<OperationRow, 'operation' | 'kind' | 'incarnation'>,
): Promise<boolean> {
  const there = await findOperation(db, row.operation);
  if (there === undefined) return false;
  if (there.kind === row.kind && there.incarnation === row.incarnation) return true;
  throw new OpsError(
    'Conflict',
    `operation ${row.operation} is another one: ${there.kind} of ${there.tenant ?? 'many tenants'}`,
    'every operation has an id of its own',
  );
}

/** Ends every other run of a life that still says that it runs: its workflow is over, or waits for what is gone. */
export async function cancelOthers(
  db: Queryable,
  incarnation: Incarnation,
  except: OperationId,
): Promise<void> {
  await db.query(
    `update operations set state = 'cancelled', ended_at = now()
     where incarnation = $1 and state = 'running' and operation <> $2`,
    [incarnation, except],
  );
}

/** The last end of one kind of operation. */
export interface LastOutcome extends Pick<OperationRow, 'operation' | 'kind' | 'state' | 'error'> {
  /** How many of the kind failed in the time that was asked for. */
  readonly failures: number;
}

/** How the last operation of each kind that ended since then did; one that was cancelled tells nothing. */
export async function lastOutcomes(
  db: Queryable,
  incarnation: Incarnation,
  since: Date,
): Promise<LastOutcome[]> {
  const { rows } = await db.query<LastOutcome>(
    `select distinct on (kind) operation, kind, state, error,
       (count(*) filter (where state = 'failed') over (partition by kind))::int as failures
     from operations where incarnation = $1 and ended_at > $2 and state <> 'cancelled'
     order by kind, ended_at desc, operation`,
    [incarnation, since],
  );
  return rows;
}

/** Kinds of which at least one runs, of whatever tenant. */
export async function runningKinds(db: Queryable): Promise<Set<OperationKind>> {
  const { rows } = await db.query<{ kind: OperationKind }>(
    `select distinct kind from operations where state = 'running'`,
  );
  return new Set(rows.map(({ kind }) => kind));
}
