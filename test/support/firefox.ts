/** Firefox without a window, by WebDriver BiDi. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import puppeteer, { type Browser } from 'puppeteer-core';

/** The program, if it is installed. */
const firefox = (process.env.PATH ?? '')
  .split(delimiter)
  .flatMap((folder) => ['firefox', 'firefox-esr'].map((name) => join(folder, name)))
  .find(existsSync);

/** `describe` for tests in Firefox: skipped where it is not installed, in CI too. */
export const describeWithFirefox: (name: string, body: () => void) => void =
  firefox === undefined
    ? (name, body) => describe.skip(`${name} (needs Firefox, which is not installed)`, body)
    : describe;

export async function openFirefox(): Promise<{ browser: Browser; close(): Promise<void> }> {
  const browser = await puppeteer.launch({ browser: 'firefox', executablePath: firefox, headless: true });
  return { browser, close: () => browser.close() };
}
