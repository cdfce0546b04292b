// Opens an encrypted operation in the Temporal UI and takes a picture of its input, as the codec server decodes it. Fails
// unless the page shows the words that are given. Needs a running stack with keys, `cvops codec-server` and Chromium.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [ui, workflowId, words, file = 'docs/temporal-ui-codec.png'] = process.argv.slice(2);
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (program) => existsSync(program),
);
if (!ui || !workflowId || !words || !executablePath) {
  console.error('usage: screenshot-codec.mjs UI_URL WORKFLOW_ID WORDS [FILE], with Chromium installed');
  process.exit(2);
}
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
});
try {
  const page = await browser.newPage({ viewport: { width: 1500, height: 950 } });
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
} finally {
  await browser.close();
}
