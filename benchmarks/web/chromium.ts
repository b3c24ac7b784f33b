/** Chromium without a window. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** The program, if it is installed. */
export const chromium = (process.env.PATH ?? '')
  .split(delimiter)
  .flatMap((folder) => NAMES.map((name) => join(folder, name)))
  .find(existsSync);

/**
 * Starts a browser with a profile of its own; `close` ends it and removes the profile.
 *
 * @param more options of the command line
 */
export async function openBrowser(
  more: readonly string[] = [],
): Promise<{ browser: Browser; close(): Promise<void> }> {
  if (chromium === undefined) throw new Error('Chromium is not installed: apt-get install chromium.');
  const profile = mkdtempSync(join(tmpdir(), 'tfjs-lowbit-browser-'));
  const browser = await puppeteer.launch({
    executablePath: chromium,
    userDataDir: profile,
    // Long measurements are one call each.
    protocolTimeout: 0,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...more,
    ],
  });
  return {
    browser,
    async close() {
      await browser.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** @param url of `serveApp` @returns its isolated page, with the app in it */
export async function openPage(browser: Browser, url: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${url}/isolated.html`);
  await page.waitForFunction('globalThis.app !== undefined');
  return page;
}
