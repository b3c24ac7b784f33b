import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'puppeteer-core';
import { openBrowser } from '../../benchmarks/web/chromium';
import type { Report, ReportLayer } from '../../src/report/report';
import { toHtml } from '../../src/report/write-report';
import { describeWithBrowser } from '../support/browser';
import { temporaryFolder } from '../support/tiny-model';

const HOSTILE = [
  '</script><script>window.hacked = 1</script>',
  '<img src=x onerror="window.hacked = 1">',
  '"><svg onload=alert(1)>',
  '<!-- <script>',
  'tail/\u2028`$`',
];

/** Counts that rise to the middle, differently for every layer. */
function bell(width: number): number[] {
  return Array.from({ length: 66 }, (_, i) => Math.round(1000 * Math.exp(-(((i - 33) / width) ** 2))));
}

function layer(name: string, i: number): ReportLayer {
  return {
    name,
    op: '_FusedConv2D',
    fused: [],
    precision: 'int8',
    bits: { weights: 8, result: 8 },
    macs: 1000 * (10 - i),
    bytes: { before: 4000 + i, after: 1000 + i },
    signalToNoise: [31, 12, 25, Number.POSITIVE_INFINITY, 18][i],
    weightSignalToNoise: 40,
    range: { min: -1, max: 2 },
    rangeUsed: 98,
    clipped: 0.01,
    histogram: { low: -1, high: 2, float: bell(8 + i), quantized: bell(9 + i) },
    milliseconds: { before: 1 + i, after: 0.5 },
    sensitivity: { name, op: 'Conv2D', ownSignalToNoise: 40, signalToNoise: 30 - i, outputs: [] },
  };
}

const REPORT: Report = {
  format: 'tfjs-lowbit report',
  formatVersion: 1,
  toolVersion: '1.2.3',
  model: '<b>model</b> & co',
  scheme: 'int8',
  comparison: {
    samples: 4,
    top1: { labelled: 4, float: 75, lowbit: 50 },
    outputs: [{ name: HOSTILE[0], signalToNoise: 25 }],
    latency: {
      float: 30,
      lowbit: 5,
      speedup: 6,
      runs: 10,
      backend: 'wasm',
      engine: 'native',
      isa: 'avx2',
      threads: 1,
    },
    bytes: { float: 4_000_000, lowbit: 1_000_000 },
  },
  macs: {
    total: 40_000,
    int8: 40_000,
    percent: 100,
    products: 5,
    incomplete: 1,
    floatProducts: [{ name: HOSTILE[1], op: 'MatMul', macs: 7, incomplete: true, reason: HOSTILE[2] }],
  },
  calibration: { method: 'percentile 99.99', samples: 4, versions: { tfjs: HOSTILE[1] } },
  conversion: { settings: { biasCorrection: 'sequential' }, warnings: [HOSTILE[3]] },
  recovery: [{ pass: 'sequential bias correction', without: 21.25, with: 33.75 }],
  layers: HOSTILE.map(layer),
  layerSamples: 4,
  borderMilliseconds: 0.1,
  float: [{ name: HOSTILE[2], op: HOSTILE[1], reason: HOSTILE[0] }],
};

describeWithBrowser('the page of a report', () => {
  let browser: Browser;
  let close: () => Promise<void>;
  let url: string;
  beforeAll(async () => {
    ({ browser, close } = await openBrowser());
    const file = join(temporaryFolder(), 'report.html');
    writeFileSync(file, await toHtml(REPORT));
    url = pathToFileURL(file).href;
  });
  afterAll(() => close?.());

  /** Opens the report, and collects what a page that minds its own business does not do. */
  async function open(width = 1200): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(`console: ${message.text()}`));
    page.on('pageerror', (error) => complaints.push(`error: ${(error as Error).message}`));
    page.on('dialog', (dialog) => complaints.push(`dialog: ${dialog.message()}`));
    page.on('request', (request) => {
      if (request.url() !== url) complaints.push(`request: ${request.url()}`);
    });
    await page.setOfflineMode(true);
    await page.setViewport({ width, height: 800 });
    await page.goto(url);
    return { page, complaints };
  }

  const names = (page: Page) =>
    page.$$eval('#layers td.name', (cells) => cells.map((cell) => cell.getAttribute('title')));

  /** How many colours a chart has. */
  const colours = (page: Page, id: string) =>
    page.evaluate(`(() => {
      const canvas = document.getElementById('${id}');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    })()`);

  test('draws its charts and asks for nothing', async () => {
    const { page, complaints } = await open();
    for (const id of ['noise', 'histogram', 'size', 'time']) {
      expect(await colours(page, id)).toBeGreaterThan(2);
    }
    expect(await page.$eval('#headline', (element) => element.textContent)).toContain('−25.00 points');
    expect(complaints).toEqual([]);
    await page.close();
  });

  test('shows hostile names as they are', async () => {
    const { page, complaints } = await open();
    expect((await names(page)).sort()).toEqual([...HOSTILE].sort());
    expect(await page.$eval('h1', (element) => element.textContent)).toBe(REPORT.model);
    expect(await page.title()).toContain(REPORT.model);
    expect(await page.$eval('#float-section', (element) => element.textContent)).toContain(HOSTILE[0]);
    expect(await page.$eval('#origin-section', (element) => element.textContent)).toContain(HOSTILE[1]);
    expect(await page.$eval('#origin-section', (element) => element.textContent)).toContain(HOSTILE[3]);
    expect(await page.$$('main img, main svg, main script')).toEqual([]);
    expect(await page.evaluate('window.hacked')).toBeUndefined();
    expect(complaints).toEqual([]);
    await page.close();
  });

  test('sorts worst first, and by any column on a click', async () => {
    const { page } = await open();
    const bySignal = [1, 4, 2, 0, 3].map((i) => HOSTILE[i]);
    expect(await names(page)).toEqual(bySignal);
    await page.click('th[data-column="noise"] button');
    expect(await names(page)).toEqual([...bySignal].reverse());
    await page.click('th[data-column="macs"] button');
    expect(await names(page)).toEqual(HOSTILE);
    expect(await page.$$eval('th[aria-sort]', (heads) => heads.map((head) => head.ariaSort))).toEqual([
      'descending',
    ]);
    await page.close();
  });

  test('filters layers by name', async () => {
    const { page } = await open();
    await page.type('input[type="search"]', 'SVG');
    expect(await names(page)).toEqual([HOSTILE[2]]);
    await page.close();
  });

  test('shows the histogram of the layer that is chosen', async () => {
    const { page } = await open();
    const drawn = () => page.evaluate("document.getElementById('histogram').toDataURL()");
    const chosen = () => page.evaluate("document.querySelector('select').selectedIndex");
    const before = await drawn();
    expect(await chosen()).toBe(1);
    await page.click('#layers tbody tr:last-child');
    expect(await chosen()).toBe(3);
    expect(await drawn()).not.toBe(before);
    await page.close();
  });

  test('shows what each layer costs alone', async () => {
    const { page } = await open();
    const drawn = () => page.evaluate("document.getElementById('noise').toDataURL()");
    const before = await drawn();
    await page.click('[aria-label="What is quantized"] button:last-child');
    expect(await drawn()).not.toBe(before);
    expect(await page.$eval('#noise-section', (element) => element.textContent)).toContain(
      'alone is quantized',
    );
    await page.close();
  });

  test('shows what each way to recover accuracy was worth', async () => {
    const { page } = await open();
    const text = await page.$eval('#recovery-section', (element) => element.textContent);
    expect(text).toContain('sequential bias correction');
    expect(text).toMatch(/21\.\d dB.*33\.\d dB/);
    await page.close();
  });

  test('fits a phone', async () => {
    const { page } = await open(390);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    await page.close();
  });
});
