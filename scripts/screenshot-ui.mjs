// Takes the screenshots of docs/: the workflow list of one tenant, an operation with its activities' summaries, and its
// current details. Needs a running stack and Chromium.
import { existsSync, mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [ui, tenant, workflowId, folder = 'docs'] = process.argv.slice(2);
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (file) => existsSync(file),
);
if (!ui || !tenant || !workflowId || !executablePath) {
  console.error('usage: screenshot-ui.mjs UI_URL TENANT WORKFLOW_ID [FOLDER], with Chromium installed');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
});
const page = await browser.newPage({ viewport: { width: 1500, height: 950 } });
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
await browser.close();
