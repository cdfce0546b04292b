import { OpsError } from '../domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../domain/ids.js';
import type { OperationKind, OperationState } from '../domain/states.js';
import type { Queryable } from './database.js';

export interface OperationRow {
  readonly operation: OperationId;
  readonly kind: OperationKind;
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly principal: string;
  readonly reason: string;
  readonly state: OperationState;
  readonly workflowId: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string } | null;
  readonly startedAt: string;
  readonly endedAt: string | null;
}

const COLUMNS = `operation, kind, tenant, incarnation, principal, reason, state, workflow_id as "workflowId", counts, error,
  to_json(started_at)#>>'{}' as "startedAt", to_json(ended_at)#>>'{}' as "endedAt"`;

/** Writes the row of a run; the same operation again finds its row. */
export async function startOperation(
  db: Queryable,
  row: Pick<
    OperationRow,
    'operation' | 'kind' | 'tenant' | 'incarnation' | 'principal' | 'reason' | 'workflowId'
  >,
): Promise<void> {
  await db.query(
    `insert into operations (operation, kind, tenant, incarnation, principal, reason, state, workflow_id)
     values ($1, $2, $3, $4, $5, $6, 'running', $7) on conflict (operation) do nothing`,
    [row.operation, row.kind, row.tenant, row.incarnation, row.principal, row.reason, row.workflowId],
  );
}

/** Ends a run, once: a later end of the same run changes nothing. */
export async function finishOperation(
  db: Queryable,
  operation: OperationId,
  end: {
    readonly state: Exclude<OperationState, 'running'>;
    readonly counts?: OperationRow['counts'];
    readonly error?: object;
  },
): Promise<void> {
  await db.query(
    `update operations set state = $2, counts = $3, error = $4, ended_at = now() where operation = $1 and state = 'running'`,
    [
      operation,
      end.state,
      JSON.stringify(end.counts ?? {}),
      end.error === undefined ? null : JSON.stringify(end.error),
    ],
  );
}

/** @throws OpsError `NotFound` */
export async function getOperation(db: Queryable, operation: OperationId): Promise<OperationRow> {
  const { rows } = await db.query<OperationRow>(`select ${COLUMNS} from operations where operation = $1`, [
    operation,
  ]);
  if (rows[0]) return rows[0];
  throw new OpsError('NotFound', `no operation ${operation}`, 'see them with: cvops op list');
}

/** Newest first. */
export async function listOperations(
  db: Queryable,
  options: { readonly tenant?: TenantId | undefined; readonly limit: number },
): Promise<OperationRow[]> {
  const { rows } = await db.query<OperationRow>(
    `select ${COLUMNS} from operations where ($1::text is null or tenant = $1) order by started_at desc, operation limit $2`,
    [options.tenant ?? null, options.limit],
  );
  return rows;
}
