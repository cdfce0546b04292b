import type { Client } from '@temporalio/client';
import type { Finding } from '../domain/health/checks.js';
import type { TenantId } from '../domain/ids.js';
import { type LostOperation, isOver, lossOf } from '../operations/lost.js';
import type { OperationRow } from '../registry/operations.js';

/** Named one by one; more are a number. */
const NAMED = 3;

/** Those of the operations whose workflow is gone. */
export async function lostOf(client: Client, rows: readonly OperationRow[]): Promise<LostOperation[]> {
  const losses = await Promise.all(rows.map((row) => lossOf(client, row)));
  return losses.filter((loss) => loss !== undefined);
}

/**
 * One thing that is wrong, however many were lost at once: a namespace takes all of them with it.
 *
 * @param tenant whose they are; null: nobody's alone
 * @param now milliseconds since the epoch
 */
export function lostFinding(
  losses: readonly LostOperation[],
  tenant: TenantId | null,
  now: number,
): Finding[] {
  if (losses.length === 0) return [];
  const named = losses.slice(0, NAMED).map(({ row, why }) => `${row.operation} (${row.kind}): ${why}`);
  const more = losses.length > NAMED ? `; and ${losses.length - NAMED} more` : '';
  const [say, run] = losses.length === 1 ? ['operation says', 'it runs'] : ['operations say', 'they run'];
  const message = `${losses.length} ${say} that ${run}, and nothing does: ${named.join('; ')}${more}`;
  const over = losses.find((loss) => isOver(loss, now));
  const lost = { subject: 'lost', severity: 'warning', message } as const;
  // What it had begun may still be at work.
  if (over === undefined) return [{ ...lost, fix: `cvops op show ${losses[0]!.row.operation}` }];
  if (tenant === null) return [{ ...lost, fix: `cvops op cancel ${over.row.operation}` }];
  return [{ ...lost, fix: `cvops diagnose ${tenant} --repair`, repair: 'end-operations' }];
}
