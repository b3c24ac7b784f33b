// @needs engine
/** The reference suites of kernels in browsers, on every module of the WebAssembly engine. */
import type { Browser } from 'puppeteer-core';
import { openBrowser } from '../../benchmarks/web/chromium';
import { serveApp, type WebServer } from '../../benchmarks/web/page';
import { describeWithBrowser } from '../support/browser';
import { describeWithFirefox, openFirefox } from '../support/firefox';
import { bundleSuites } from '../support/page/bundle';
import { temporaryFolder } from '../support/tiny-model';

/** Of each series; `npm run ci:long` runs more. */
const CASES = Number(process.env.LOWBIT_TEST_CASES ?? 8);

interface Found {
  readonly count: number;
  readonly isas: readonly string[];
  readonly failures: readonly string[];
}

let server: WebServer;

beforeAll(async () => {
  const folder = temporaryFolder();
  await bundleSuites(folder, CASES);
  server = await serveApp({ '/suites/': folder });
}, 60_000);

afterAll(() => server?.close());

async function runSuites(open: () => Promise<{ browser: Browser; close(): Promise<void> }>): Promise<Found> {
  const { browser, close } = await open();
  try {
    const page = await browser.newPage();
    await page.goto(`${server.url}/index.html`);
    // As text: jest's transform of this file would take the import. Its result is awaited piecemeal, as a call of minutes
    // is given up.
    await page.evaluate(
      `import('/suites/suites.mjs').then(() => suites()).then((found) => { globalThis.found = found; }, (error) => { globalThis.found = { failures: [String(error)] }; }), undefined`,
    );
    await page.waitForFunction('globalThis.found !== undefined', { timeout: 0 });
    return (await page.evaluate('found')) as Found;
  } finally {
    await close();
  }
}

function expectAll({ count, isas, failures }: Found): void {
  expect(isas).toEqual(['wasm', 'wasmsimd', 'wasmrelaxed']);
  expect(failures).toEqual([]);
  expect(count).toBeGreaterThan(500);
}

describeWithBrowser('in Chromium', () => {
  test('the reference suites pass on every module', async () => {
    expectAll(await runSuites(openBrowser));
  }, 3_600_000);
});

describeWithFirefox('in Firefox', () => {
  test('the reference suites pass on every module', async () => {
    expectAll(await runSuites(openFirefox));
  }, 3_600_000);
});
