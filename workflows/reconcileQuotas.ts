import { setCurrentDetails } from '@temporalio/workflow';
import type { QuotaActivities } from '../activities/types.js';
import { quotaPages, titled } from './options.js';
import { versioned } from './versioning.js';

type QuotaPage = Awaited<ReturnType<QuotaActivities['reconcileQuotaPage']>>;

/** What came of a run: tenants. */
interface Reconciled {
  readonly checked: number;
  readonly corrected: number;
  readonly failed: number;
}

/** Sets what is counted of every tenant right by what it has, page by page. Runs daily by a schedule. */
export async function reconcileQuotas(): Promise<Reconciled> {
  const sum = { checked: 0, corrected: 0, failed: 0 };
  for (let after: string | null = ''; after !== null;) {
    const page: QuotaPage = await titled(
      quotaPages.reconcileQuotaPage,
      after === '' ? 'the first tenants' : `tenants after ${after}`,
      { after },
    );
    for (const what of ['checked', 'corrected', 'failed'] as const) sum[what] += page[what];
    setCurrentDetails(
      `checked **${sum.checked}** tenant(s), corrected **${sum.corrected}**, failed **${sum.failed}**`,
    );
    after = page.next;
  }
  return sum;
}
versioned('PINNED', reconcileQuotas);
