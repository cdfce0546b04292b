// Opens an encrypted operation in the Temporal UI and takes a picture of its input, as the codec server decodes it. Fails
// unless the page shows the words that are given. Needs a running stack with keys, `cvops codec-server` and Chromium.
import { executablePath, withPage } from './chromium.mjs';

const [ui, workflowId, words, file = 'docs/temporal-ui-codec.png'] = process.argv.slice(2);
if (!ui || !workflowId || !words || !executablePath) {
  console.error('usage: screenshot-codec.mjs UI_URL WORKFLOW_ID WORDS [FILE], with Chromium installed');
  process.exit(2);
}
await withPage(async (page) => {
  page.on('console', (message) => {
    if (message.type() === 'error') console.error(message.text());
  });
  page.on('response', (response) => {
    if (/\/(de|en)code\b/.test(response.url())) console.error(`${response.status()} ${response.url()}`);
  });
  await page.goto(`${ui}/namespaces/default/workflows/${encodeURIComponent(workflowId)}`, {
    waitUntil: 'networkidle',
  });
  await page.getByText(words).first().waitFor({ timeout: 20_000 });
  await page.screenshot({ path: file });
});
