// A page of the system's Chromium, as the screenshots of docs/ are taken.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Undefined: none is installed. */
export const executablePath = PROGRAMS.find((program) => existsSync(program));

/** @param work gets a page of 1500 by 950; the browser is closed afterwards, whatever comes of it */
export async function withPage(work) {
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
  });
  try {
    await work(await browser.newPage({ viewport: { width: 1500, height: 950 } }));
  } finally {
    await browser.close();
  }
}
