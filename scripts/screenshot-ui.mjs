// Takes the screenshots of docs/: the workflow list of one tenant, an operation with its activities' summaries, and its
// current details. Needs a running stack and Chromium.
import { mkdirSync } from 'node:fs';
import { executablePath, withPage } from './chromium.mjs';

const [ui, tenant, workflowId, folder = 'docs'] = process.argv.slice(2);
if (!ui || !tenant || !workflowId || !executablePath) {
  console.error('usage: screenshot-ui.mjs UI_URL TENANT WORKFLOW_ID [FOLDER], with Chromium installed');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
await withPage(async (page) => {
  const query = encodeURIComponent(`\`TenantId\`="${tenant}"`);
  await page.goto(`${ui}/namespaces/default/workflows?query=${query}`, { waitUntil: 'networkidle' });
  await page.getByText(workflowId).first().waitFor();
  await page.screenshot({ path: `${folder}/temporal-ui-list.png` });
  await page.goto(`${ui}/namespaces/default/workflows/${encodeURIComponent(workflowId)}`, {
    waitUntil: 'networkidle',
  });
  await page.waitForTimeout(2500);
  await page.screenshot({ path: `${folder}/temporal-ui-operation.png` });
  await page.getByText('User Metadata').first().click();
  await page.waitForTimeout(2000);
  await page.screenshot({ path: `${folder}/temporal-ui-details.png` });
});
