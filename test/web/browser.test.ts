// @needs engine
/** The build for browsers in Chromium: it gives what Node.js gives, and says what to do where it cannot be loaded. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { loadGraphModel } from '@tensorflow/tfjs-converter';
import type * as tf from '@tensorflow/tfjs-core';
import type { Browser, Page } from 'puppeteer-core';
import { openBrowser } from '../../benchmarks/web/chromium';
import { serveApp, type WebServer } from '../../benchmarks/web/page';
import { describeWithBrowser } from '../support/browser';
import { convertDemo } from '../support/demo-model';

const root = resolve(__dirname, '..', '..');

test("the runtime's JavaScript is small", () => {
  const folder = join(root, 'dist', 'web');
  const index = readFileSync(join(folder, 'index.mjs'), 'utf8');
  const parts = readdirSync(folder).filter((file) => file === 'index.mjs' || index.includes(`./${file}`));
  const compressed = parts.reduce(
    (sum, file) => sum + gzipSync(readFileSync(join(folder, file)), { level: 9 }).length,
    0,
  );
  console.log(`dist/web/index.mjs: ${compressed} bytes compressed`);
  expect(compressed).toBeLessThanOrEqual(40_000);
});

/** Both load the engine, the latter while the page waits. */
const CALLS = ['ready', 'engineInfo'];

/** In the page. */
declare const app: {
  tf: typeof tf;
  loadGraphModel: typeof loadGraphModel;
  lowbit: typeof import('../../src/index');
};

interface Predicted {
  readonly isa: string;
  readonly values: number[][];
}

/** Runs in the page: predicts with a model on a backend, twice. */
async function predictInPage(backend: string, isa: string | undefined, shape: number[]): Promise<Predicted> {
  const { tf, loadGraphModel, lowbit } = app;
  await tf.setBackend(backend);
  if (isa) lowbit.setIsa(isa);
  const model = await loadGraphModel('/model/model.json');
  const values: number[][] = [];
  for (const phase of [0, 1]) {
    const size = shape.reduce((product, dim) => product * dim, 1);
    const input = tf.tensor(
      Float32Array.from({ length: size }, (_, i) => ((i * 37 + phase * 11) % 256) / 255),
      shape,
    );
    const output = model.predict(input) as tf.Tensor;
    values.push([...(await output.data())]);
    tf.dispose([input, output]);
  }
  model.dispose();
  return { isa: lowbit.engineInfo().isa, values };
}

/**
 * Runs in the page: predicts while workers start, with them, on one thread and with them again.
 *
 * @returns the threads that computed, but for the first prediction, and all answers
 */
async function predictInThreads(isa: string, shape: number[], threads: number) {
  const { tf, loadGraphModel, lowbit } = app;
  await tf.setBackend('cpu');
  lowbit.setIsa(isa);
  lowbit.setThreads(threads);
  const model = await loadGraphModel('/model/model.json');
  const size = shape.reduce((product, dim) => product * dim, 1);
  const input = tf.tensor(
    Float32Array.from({ length: size }, (_, i) => ((i * 37) % 256) / 255),
    shape,
  );
  const predict = () => [...(model.predict(input) as tf.Tensor).dataSync()];
  const active: number[] = [];
  const values = [predict()];
  for (const count of [threads, 1, threads]) {
    lowbit.setThreads(count);
    const end = performance.now() + 5000;
    while (lowbit.engineInfo().activeThreads !== count && performance.now() < end) {
      await new Promise((later) => setTimeout(later, 20));
    }
    active.push(lowbit.engineInfo().activeThreads);
    for (let run = 0; run < 5; run++) values.push(predict());
  }
  return { active, values };
}

/**
 * Runs in the page: predicts with workers that end in a job without a word, as their stack lies at the start of memory.
 *
 * @returns milliseconds of the prediction that lost one, and all answers
 */
async function predictWithDyingWorkers(shape: number[]) {
  const code = `onmessage = ({ data: { module, memory, slot } }) => {
    const imports = { env: { memory }, lowbit: { now: () => performance.now() } };
    const { exports } = new WebAssembly.Instance(module, imports);
    exports.__stack_pointer.value = 16;
    try { exports.serve(slot); } catch {}
  };`;
  const url = URL.createObjectURL(new Blob([code], { type: 'text/javascript' }));
  const page = globalThis as unknown as { Worker: new (url: string) => object };
  const RealWorker = page.Worker;
  page.Worker = class extends RealWorker {
    constructor() {
      super(url);
    }
  };
  const { tf, loadGraphModel, lowbit } = app;
  await tf.setBackend('cpu');
  lowbit.setThreads(2);
  const model = await loadGraphModel('/model/model.json');
  const size = shape.reduce((product, dim) => product * dim, 1);
  const input = tf.tensor(
    Float32Array.from({ length: size }, (_, i) => ((i * 37) % 256) / 255),
    shape,
  );
  const values: number[][] = [];
  for (const end = performance.now() + 20_000; performance.now() < end; ) {
    await new Promise((later) => setTimeout(later, 1));
    const active = lowbit.engineInfo().activeThreads;
    const start = performance.now();
    values.push([...(model.predict(input) as tf.Tensor).dataSync()]);
    const milliseconds = performance.now() - start;
    // It has no workers now, and starts others at the next call.
    if (active === 2 && milliseconds > 600) {
      values.push([...(model.predict(input) as tf.Tensor).dataSync()]);
      return { milliseconds, values };
    }
  }
  return { milliseconds: 0, values };
}

/** Runs in the page: the code and the message of what a call throws. */
async function failureInPage(call: string, paths: string | undefined): Promise<string> {
  const { lowbit } = app;
  if (paths !== undefined) lowbit.setWasmPaths(paths);
  try {
    await lowbit[call as 'ready' | 'engineInfo']();
    return 'nothing failed';
  } catch (error) {
    const { code, message } = error as InstanceType<typeof lowbit.LowbitError>;
    return `${code}: ${message}`;
  }
}

describeWithBrowser('in Chromium', () => {
  let browser: Browser;
  let closeBrowser: () => Promise<void>;
  let server: WebServer;
  let expected: number[][];
  let shape: number[];

  beforeAll(async () => {
    const model = await convertDemo();
    ({ shape, expected } = model);
    server = await serveApp({ '/model/': model.folder });
    ({ browser, close: closeBrowser } = await openBrowser());
  }, 120_000);

  afterAll(async () => {
    await closeBrowser?.();
    server?.close();
  });

  async function withPage<Result>(path: string, body: (page: Page) => Promise<Result>): Promise<Result> {
    server.requests.length = 0;
    const page = await browser.newPage();
    try {
      await page.goto(server.url + path, { waitUntil: 'load' });
      await page.waitForFunction('globalThis.app !== undefined');
      return await body(page);
    } finally {
      await page.close();
    }
  }

  const modulesLoaded = () => server.requests.filter((path) => path.includes('lowbit-'));

  test.each([
    ['cpu', undefined],
    ['wasm', undefined],
    ['cpu', 'wasmsimd'],
    ['wasm', 'wasmsimd'],
    ['cpu', 'wasm'],
    ['wasm', 'wasm'],
  ])(
    'a converted model on the backend %s, instruction set %s, gives what it gives in Node.js',
    async (backend, isa) => {
      const found = await withPage('/index.html', (page) =>
        page.evaluate(predictInPage, backend, isa, shape),
      );
      expect(found.isa).toBe(isa ?? 'wasmrelaxed');
      expect(found.values).toEqual(expected);
    },
  );

  test.each([
    ['/isolated.html', 'wasm', 2],
    ['/isolated.html', 'wasmsimd', 2],
    ['/isolated.html', 'wasmrelaxed', 3],
  ])('%s: %s computes with %d threads, and gives the same', async (path, isa, threads) => {
    const found = await withPage(path, (page) => page.evaluate(predictInThreads, isa, shape, threads));
    expect(found.active).toEqual([threads, 1, threads]);
    for (const values of found.values) expect(values).toEqual(expected[0]);
  });

  test('a worker that dies in a job is noticed, and the answer is the same', async () => {
    const { milliseconds, values } = await withPage('/isolated.html', (page) =>
      page.evaluate(predictWithDyingWorkers, shape),
    );
    console.log(`the prediction that lost it took ${milliseconds.toFixed(0)} ms`);
    expect(milliseconds).toBeGreaterThan(600);
    expect(milliseconds).toBeLessThan(5000);
    for (const answer of values) expect(answer).toEqual(expected[0]);
  });

  test('where an isolated page allows no workers, one thread computes', async () => {
    const warnings: string[] = [];
    const found = await withPage('/isolated-strict.html', (page) => {
      page.on('console', (message) => warnings.push(message.text()));
      return page.evaluate(predictInThreads, 'wasmsimd', shape, 2);
    });
    expect(found.active).toEqual([1, 1, 1]);
    for (const values of found.values) expect(values).toEqual(expected[0]);
    expect(warnings.join()).toContain('computes on one thread');
  });

  test('a strict Content-Security-Policy that allows WebAssembly is enough', async () => {
    const found = await withPage('/strict.html', (page) =>
      page.evaluate(predictInPage, 'cpu', undefined, shape),
    );
    expect(found.values).toEqual(expected);
  });

  test('ready() fetches the module, once', async () => {
    await withPage('/index.html', async (page) => {
      expect(modulesLoaded()).toEqual([]);
      expect(await page.evaluate(failureInPage, 'ready', undefined)).toBe('nothing failed');
      const { values } = await page.evaluate(predictInPage, 'cpu', undefined, shape);
      expect(values).toEqual(expected);
      expect(modulesLoaded()).toEqual(['/native/web/modules/lowbit-relaxed.wasm']);
    });
  });

  test.each(CALLS)('a module without its type is taken by %s', async (call) => {
    const found = await withPage('/index.html', (page) => page.evaluate(failureInPage, call, '/octets/'));
    expect(found).toBe('nothing failed');
    expect(modulesLoaded()).toEqual(['/octets/lowbit-relaxed.wasm']);
  });

  describe.each(CALLS)('%s says what to do', (call) => {
    test('where the file is not there, and works once it is', async () => {
      await withPage('/index.html', async (page) => {
        expect(await page.evaluate(failureInPage, call, '/absent/')).toMatch(
          /^engine-unavailable: .* from \/absent\/lowbit-relaxed\.wasm: HTTP status 404\n.*setWasmPaths/,
        );
        expect(await page.evaluate(failureInPage, call, '/octets/')).toBe('nothing failed');
      });
    });

    test('where something else is there', async () => {
      const found = await withPage('/index.html', (page) => page.evaluate(failureInPage, call, '/any/'));
      expect(found).toMatch(/^engine-unavailable: .* cannot be compiled from \/any\/lowbit-relaxed\.wasm: /);
    });

    test('where the server is not there', async () => {
      const nowhere = 'http://127.0.0.1:9/';
      const found = await withPage('/index.html', (page) => page.evaluate(failureInPage, call, nowhere));
      expect(found).toMatch(
        /^engine-unavailable: .* from http:\/\/127\.0\.0\.1:9\/lowbit-relaxed\.wasm: .*\n.*setWasmPaths/,
      );
    });

    test('where the page forbids WebAssembly', async () => {
      const found = await withPage('/without-wasm.html', (page) =>
        page.evaluate(failureInPage, call, undefined),
      );
      expect(found).toMatch(/^engine-unavailable: .*'wasm-unsafe-eval'/s);
    });
  });
});
