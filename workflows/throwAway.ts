import { ParentClosePolicy, executeChild, uuid4 } from '@temporalio/workflow';
import { type Incarnation, type TenantId, parseOperationId } from '../src/domain/ids.js';
import { workflowIds } from '../src/domain/naming.js';
import { operationMarks } from '../src/domain/operationMarks.js';
import { failureRecord } from './failures.js';
import { hardDeleteTenant } from './hardDeleteTenant.js';

/** Between the two looks at a throw-away tenant that is gone. */
const SECOND_LOOK_SECONDS = 5;

/** Deletes a throw-away tenant for good; one that was never made is gone. */
export async function dropThrowAway(
  asked: { readonly cluster: string; readonly principal: string; readonly reason: string },
  tenant: TenantId,
  incarnation: Incarnation,
  secondLookSeconds = SECOND_LOOK_SECONDS,
): Promise<void> {
  const { cluster, principal, reason } = asked;
  const operation = parseOperationId(uuid4());
  try {
    await executeChild(hardDeleteTenant, {
      ...operationMarks({
        kind: 'hardDeleteTenant',
        workflowId: workflowIds.purge(tenant),
        ...{ tenant, operation, principal, reason },
        summary: `delete ${tenant} for good`,
        priority: 4,
      }),
      // A purge of the original ends what takes too long, and the copy must not stay.
      parentClosePolicy: ParentClosePolicy.ABANDON,
      args: [
        {
          ...{ tenant, incarnation, operation, cluster, principal, reason },
          ...{ trigger: 'requested' as const, rehearsal: null, secondLookSeconds },
        },
      ],
    });
  } catch (error) {
    if (failureRecord(error).code !== 'NotFound') throw error;
  }
}
