// @needs engine
/** The example page, built by Vite, clicked through in Chromium. Screenshots lie in build/example-*.png. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Browser, ElementHandle, Page } from 'puppeteer-core';
import { openBrowser } from '../../benchmarks/web/chromium';
import { serveApp, type WebServer } from '../../benchmarks/web/page';
import { describeWithBrowser } from '../support/browser';
import { describeIf } from '../support/needs';
import { temporaryFolder } from '../support/tiny-model';

const root = resolve(__dirname, '..', '..');
const example = join(root, 'examples', 'browser');
const vite = join(root, 'build', 'tools', 'node_modules', 'vite', 'bin', 'vite.js');

const CAMERA = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];

const DESKTOP = { width: 1100, height: 800 };
const PHONE = { width: 375, height: 812, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** What the page shows of a model. */
interface Shown {
  readonly answer: string;
  readonly scores: readonly number[];
  readonly time: number;
  readonly memory: number;
  readonly size: number;
}

const READ = `Object.fromEntries(['float', 'int8'].map((id) => {
  const card = document.getElementById(id);
  const number = (name) => parseFloat(card.querySelector(name).textContent);
  return [id, {
    answer: card.querySelector('.answer').textContent,
    scores: [...card.querySelectorAll('.bar')].map(({ style }) => Number(style.getPropertyValue('--score'))),
    time: number('.time'), memory: number('.memory'), size: number('.size'),
  }];
}))`;

describeIf(existsSync(vite), 'Vite: run npm run fetch:tools', 'the example page', () => {
  describeWithBrowser('in Chromium', () => {
    let server: WebServer;
    let browser: Browser;
    let closeBrowser: () => Promise<void>;
    let page: Page;

    beforeAll(async () => {
      const built = temporaryFolder();
      execFileSync(process.execPath, [join(example, 'prepare.cjs')], { stdio: 'ignore' });
      const options = ['build', '--outDir', built, '--emptyOutDir', '--logLevel', 'error'];
      execFileSync(process.execPath, [vite, ...options], {
        cwd: example,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      server = await serveApp({ '/example/': built });
      ({ browser, close: closeBrowser } = await openBrowser(CAMERA));
      page = await browser.newPage();
      await page.setViewport(DESKTOP);
      await page.goto(`${server.url}/example/index.html`);
    }, 120_000);

    afterAll(async () => {
      await closeBrowser?.();
      server?.close();
    });

    /** Waits until the picture was run often enough for its time to be told. */
    async function shown(): Promise<{ float: Shown; int8: Shown }> {
      await page.waitForFunction(`document.querySelector('#int8 .time').textContent !== '–'`);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      return (await page.evaluate(READ)) as { float: Shown; int8: Shown };
    }

    function expectAlike({ float, int8 }: { float: Shown; int8: Shown }): void {
      expect(int8.answer).toBe(float.answer);
      expect(float.scores[0]).toBeGreaterThan(0.5);
      expect(Math.abs(int8.scores[0] - float.scores[0])).toBeLessThan(0.1);
      for (const each of [float, int8]) expect(each.time).toBeGreaterThan(0);
      expect(int8.time).toBeLessThan(float.time);
      expect(int8.size).toBeLessThan(float.size / 3);
      expect(int8.memory).toBeLessThan(float.memory);
    }

    const status = () =>
      page.$eval('#summary', (element) => (element as { textContent: string }).textContent);

    test('shows a picture, both answers, times, memory and sizes', async () => {
      const found = await shown();
      expectAlike(found);
      expect(found.int8.answer).toBe('star');
      expect(await status()).toMatch(/^INT8: .*as fast, .* less memory, .* smaller$/);
      await page.screenshot({ path: join(root, 'build', 'example-desktop.png') });
    });

    test.each(['circle', 'triangle', 'square', 'cross', 'ring', 'crescent', 'bar'])(
      'a click on the sample %s is answered by both models',
      async (name) => {
        await page.click(`button[title="${name}"]`);
        await page.waitForFunction(`document.querySelector('#int8 .answer').textContent === '${name}'`);
        const { float, int8 } = (await page.evaluate(READ)) as { float: Shown; int8: Shown };
        expect(float.answer).toBe(int8.answer);
      },
    );

    test('a chosen file and a dropped one are used, and what is no picture is told', async () => {
      const input = (await page.$('#file')) as ElementHandle<never>;
      const upload = input as unknown as { uploadFile(path: string): Promise<void> };
      await upload.uploadFile(join(example, 'public', 'pictures', 'ring.png'));
      await page.waitForFunction(`document.querySelector('#float .answer').textContent === 'ring'`);
      await page.evaluate(`(async () => {
        const picture = await (await fetch('./pictures/cross.png')).blob();
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([picture], 'cross.png'));
        document.getElementById('stage').dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true }));
      })()`);
      await page.waitForFunction(`document.querySelector('#float .answer').textContent === 'cross'`);
      await upload.uploadFile(join(example, 'index.html'));
      await page.waitForFunction(`document.getElementById('summary').textContent.includes('no picture')`);
      expect(await status()).toBe('index.html is no picture that the browser can read.');
    });

    test('the camera is used live, and stopped', async () => {
      await page.click('#camera');
      await page.waitForFunction(`document.getElementById('camera').textContent === 'Stop the camera'`);
      const pixels = () => page.evaluate(`document.getElementById('picture').toDataURL()`);
      const first = await pixels();
      await new Promise((resolve) => setTimeout(resolve, 1000));
      expect(await pixels()).not.toBe(first);
      await page.click('#camera');
      expect(await page.$eval('#camera', (element) => (element as { textContent: string }).textContent)).toBe(
        'Use the camera',
      );
    });

    test("fits a phone's width", async () => {
      await page.setViewport(PHONE);
      await page.click('button[title="star"]');
      await shown();
      const widths = '[document.documentElement.scrollWidth, document.documentElement.clientWidth]';
      expect(await page.evaluate(widths)).toEqual([PHONE.width, PHONE.width]);
      const side = `['float', 'int8'].map((id) => document.getElementById(id).getBoundingClientRect().top)`;
      const [float, int8] = (await page.evaluate(side)) as number[];
      expect(int8).toBe(float);
      await page.screenshot({ path: join(root, 'build', 'example-phone.png'), fullPage: true });
    });
  });
});
