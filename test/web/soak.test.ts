// @needs engine
/** Thousands of predictions, and models loaded and disposed of again and again, leave nothing behind in a page. */
import type { loadGraphModel } from '@tensorflow/tfjs-converter';
import type * as tf from '@tensorflow/tfjs-core';
import type { Browser, CDPSession, Page } from 'puppeteer-core';
import { openBrowser } from '../../benchmarks/web/chromium';
import { serveApp, type WebServer } from '../../benchmarks/web/page';
import { describeWithBrowser } from '../support/browser';
import { convertDemo, type DemoModel } from '../support/demo-model';

/** `npm run ci:long` asks for many. */
const PREDICTIONS = Number(process.env.LOWBIT_SOAK_PREDICTIONS ?? 400);
const LOADS = Number(process.env.LOWBIT_SOAK_LOADS ?? 12);

/** What a collection may leave of the JavaScript heap, code and feedback of the engine included. */
const HEAP_SLACK = 300_000;
const BUFFER_SLACK = 100_000;

/** In the page. */
declare const app: {
  tf: typeof tf;
  loadGraphModel: typeof loadGraphModel;
  model: Awaited<ReturnType<typeof loadGraphModel>>;
};

/** Runs in the page before all else: finds the memories of WebAssembly, which no heap counts. */
const WATCH_MEMORIES = `
  const memories = new Set();
  const watch = (instance, imports = {}) => {
    for (const exchanged of [instance.exports, ...Object.values(imports)])
      for (const each of Object.values(exchanged)) if (each instanceof WebAssembly.Memory) memories.add(each);
    return instance;
  };
  WebAssembly.Instance = new Proxy(WebAssembly.Instance, {
    construct: (Instance, args) => watch(new Instance(...args), args[1]),
  });
  for (const name of ['instantiate', 'instantiateStreaming']) {
    const original = WebAssembly[name];
    WebAssembly[name] = async (...args) => {
      const result = await original(...args);
      watch(result.instance ?? result, args[1]);
      return result;
    };
  }
  globalThis.wasmBytes = () => [...memories].map(({ buffer }) => buffer.byteLength);
`;

async function predictInPage(count: number, shape: number[]): Promise<void> {
  const { tf, model } = app;
  for (let i = 0; i < count; i++) {
    const input = tf.fill(shape, (i % 100) / 100);
    const output = model.predict(input) as tf.Tensor;
    // Some wait for their values, some read them at once.
    if (i % 2 === 0) await output.data();
    else output.dataSync();
    tf.dispose([input, output]);
  }
}

async function loadInPage(count: number, shape: number[]): Promise<void> {
  const { tf, loadGraphModel } = app;
  for (let i = 0; i < count; i++) {
    const model = await loadGraphModel('/model/model.json');
    // Some are never run.
    if (i % 5 !== 0) tf.tidy(() => (model.predict(tf.zeros(shape)) as tf.Tensor).dataSync());
    model.dispose();
  }
}

describeWithBrowser('in Chromium', () => {
  let demo: DemoModel;
  let server: WebServer;
  let browser: Browser;
  let closeBrowser: () => Promise<void>;

  beforeAll(async () => {
    demo = await convertDemo();
    server = await serveApp({ '/model/': demo.folder });
    ({ browser, close: closeBrowser } = await openBrowser());
  }, 120_000);

  afterAll(async () => {
    await closeBrowser?.();
    server?.close();
  });

  async function memoryOf(page: Page, session: CDPSession) {
    // A collection runs the callbacks of what it found, and the next frees what those let go of.
    for (let i = 0; i < 3; i++) await session.send('HeapProfiler.collectGarbage');
    const { usedSize, backingStorageSize } = (await session.send('Runtime.getHeapUsage')) as {
      usedSize: number;
      /** Of array buffers. */
      backingStorageSize: number;
    };
    const tensors = await page.evaluate(
      '(({ numTensors, numBytes }) => ({ numTensors, numBytes }))(app.tf.memory())',
    );
    const wasm = (await page.evaluate('wasmBytes()')) as number[];
    return { usedSize, backingStorageSize, tensors, wasm };
  }

  async function soak(
    backend: string,
    path: string,
    body: (count: number, shape: number[]) => Promise<void>,
    count: number,
  ): Promise<void> {
    const page = await browser.newPage();
    try {
      await page.evaluateOnNewDocument(WATCH_MEMORIES);
      await page.goto(server.url + path);
      await page.waitForFunction('globalThis.app !== undefined');
      const load = `app.loadGraphModel('/model/model.json').then((model) => { app.model = model; })`;
      await page.evaluate(`app.tf.setBackend('${backend}').then(() => ${load})`);
      const session = await page.createCDPSession();
      // In parts, as a call of minutes is given up.
      const part = Math.ceil(count / 10);
      await page.evaluate(body, part, demo.shape);
      const before = await memoryOf(page, session);
      for (let done = part; done < count; done += part) await page.evaluate(body, part, demo.shape);
      const after = await memoryOf(page, session);
      const grown = after.usedSize - before.usedSize;
      const buffers = after.backingStorageSize - before.backingStorageSize;
      console.log(
        `${backend}, ${path}, ${count}: heap ${grown} bytes, buffers ${buffers} bytes more; WebAssembly ${before.wasm} -> ${after.wasm}`,
      );
      expect(after.tensors).toEqual(before.tensors);
      // Ours, and that of the backend.
      expect(before.wasm).toHaveLength(backend === 'wasm' ? 2 : 1);
      expect(after.wasm).toEqual(before.wasm);
      expect(grown).toBeLessThan(HEAP_SLACK);
      expect(buffers).toBeLessThan(BUFFER_SLACK);
    } finally {
      await page.close();
    }
  }

  const CASES = [
    ['cpu', '/index.html'],
    ['wasm', '/index.html'],
    // With threads.
    ['cpu', '/isolated.html'],
  ];

  test.each(CASES)(
    `${PREDICTIONS} predictions on %s, %s`,
    (backend, path) => soak(backend, path, predictInPage, PREDICTIONS),
    600_000,
  );

  test.each(CASES)(
    `${LOADS} models loaded and disposed of on %s, %s`,
    (backend, path) => soak(backend, path, loadInPage, LOADS),
    600_000,
  );
});
