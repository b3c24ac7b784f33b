// @needs engine
/** In Chromium: the backends of a page, and the ways by which a model gets there. */
import { join } from 'node:path';
import type { loadGraphModel } from '@tensorflow/tfjs-converter';
import type * as tf from '@tensorflow/tfjs-core';
import type { Browser, Page } from 'puppeteer-core';
import { openBrowser } from '../../benchmarks/web/chromium';
import { serveApp, type WebServer } from '../../benchmarks/web/page';
import { describeWithBrowser } from '../support/browser';
import { convertDemo, type DemoModel } from '../support/demo-model';

/** In the page. */
declare const app: {
  tf: typeof tf;
  loadGraphModel: typeof loadGraphModel;
  lowbit: typeof import('../../src/index');
  warnings: string[];
};

const MORE = `
  import '@tensorflow/tfjs-backend-webgl';
  import '@tensorflow/tfjs-backend-webgpu';
  const { warn } = console;
  app.warnings = [];
  console.warn = (...words) => { app.warnings.push(words.join(' ')); warn(...words); };
  /** The outputs for both pictures of test/support/demo-model.ts. */
  app.run = async (model, shape, method = 'predict') => {
    const size = shape.reduce((product, dim) => product * dim, 1);
    const values = [];
    for (const phase of [0, 1]) {
      const input = tf.tensor(Float32Array.from({ length: size }, (_, i) => ((i * 37 + phase * 11) % 256) / 255), shape);
      const output = await model[method](input);
      values.push([...(await output.data())]);
      tf.dispose([input, output]);
    }
    return values;
  };
`;

/** The GPU that Chromium emulates. */
const EMULATED_GPU = [
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
];

describeWithBrowser('in Chromium', () => {
  let browser: Browser;
  let closeBrowser: () => Promise<void>;
  let server: WebServer;
  let model: DemoModel;

  beforeAll(async () => {
    model = await convertDemo();
    server = await serveApp({ '/model/': model.folder, '/hub/model/1/': model.folder }, MORE);
    ({ browser, close: closeBrowser } = await openBrowser(EMULATED_GPU));
  }, 120_000);

  afterAll(async () => {
    await closeBrowser?.();
    server?.close();
  });

  async function withPage<Result>(
    body: (page: Page) => Promise<Result>,
    path = '/index.html',
  ): Promise<Result> {
    const page = await browser.newPage();
    try {
      await page.goto(server.url + path, { waitUntil: 'load' });
      await page.waitForFunction('globalThis.app?.run !== undefined');
      return await body(page);
    } finally {
      await page.close();
    }
  }

  /** Runs text in the page, as the body of an asynchronous function; `shape` is the model's. */
  function run<Result>(text: string, path?: string): Promise<Result> {
    const body = `(async () => { const { tf, loadGraphModel, lowbit, warnings, run } = app; const shape = [${model.shape}]; ${text} })()`;
    return withPage((page) => page.evaluate(body) as Promise<Result>, path);
  }

  test('webgl: reads back, runs and uploads, and warns once', async () => {
    const { values, warnings } = await run<{ values: number[][]; warnings: string[] }>(`
      if (!(await tf.setBackend('webgl'))) throw new Error('no WebGL');
      const model = await loadGraphModel('/model/model.json');
      return { values: await run(model, shape), warnings };`);
    expect(values).toEqual(model.expected);
    const ours = warnings.filter((text) => text.includes('tfjs-lowbit'));
    expect(ours).toEqual([
      expect.stringMatching(/^tfjs-lowbit computes on the CPU.*'webgl'.*tf\.setBackend\('wasm'\)/),
    ]);
  });

  test('webgl: executeAsync does not let the page wait for the GPU', async () => {
    const { values, reads } = await run<{ values: number[][]; reads: number[] }>(`
      await tf.setBackend('webgl');
      const model = await loadGraphModel('/model/model.json');
      const backend = tf.backend();
      const reads = [0];
      const { readSync } = backend;
      backend.readSync = (id) => { reads[0]++; return readSync.call(backend, id); };
      const values = await run(model, shape, 'executeAsync');
      const onGpu = tf.tidy(() => tf.relu(tf.fill(shape, 0.5)));
      await (await model.executeAsync(onGpu)).data();
      return { values, reads };`);
    expect(values).toEqual(model.expected);
    expect(reads).toEqual([0]);
  });

  test('webgl: what a shader computed goes in, and what comes out goes into one', async () => {
    const { ours, cpu } = await run<Record<string, number[]>>(`
      const compute = async (backend) => {
        await tf.setBackend(backend);
        const model = await loadGraphModel('/model/model.json');
        const output = tf.tidy(() => {
          // Exact in float32 on every backend.
          const ramp = tf.mul(tf.sub(tf.reshape(tf.range(0, 64 * 64 * 3), shape), 6144), 1 / 8192);
          return tf.sub(tf.mul(model.predict(ramp), 4), 1);
        });
        return [...(await output.data())];
      };
      return { ours: await compute('webgl'), cpu: await compute('cpu') };`);
    expect(ours).toEqual(cpu);
  });

  test('webgl: tensors and programs are freed', async () => {
    const counts = await run<object[]>(`
      await tf.setBackend('webgl');
      const count = () => ({ tensors: tf.memory().numTensors, ids: tf.backend().numDataIds() });
      const before = count();
      const model = await loadGraphModel('/model/model.json');
      await run(model, shape);
      const loaded = count();
      for (let i = 0; i < 3; i++) await run(model, shape);
      const after = count();
      model.dispose();
      return [before, loaded, after, count()];`);
    expect(counts[2]).toEqual(counts[1]);
    expect(counts[3]).toEqual(counts[0]);
  });

  test('wasm: where TF.js itself has threads, and its heap is shared', async () => {
    const { heap, values } = await run<{ heap: string; values: number[][] }>(
      `await tf.setBackend('wasm');
      const model = await loadGraphModel('/model/model.json');
      return { heap: tf.backend().wasm.HEAPU8.buffer.constructor.name, values: await run(model, shape) };`,
      '/isolated.html',
    );
    expect(heap).toBe('SharedArrayBuffer');
    expect(values).toEqual(model.expected);
  });

  test.each([
    ['cpu', 'wasm'],
    ['wasm', 'cpu'],
    ['webgl', 'wasm'],
    ['cpu', 'webgl'],
  ])('the backend may change after the model is loaded, from %s to %s and back', async (first, second) => {
    const values = await run<number[][][]>(`
      const values = [];
      await tf.setBackend('${first}');
      const model = await loadGraphModel('/model/model.json');
      for (const backend of ['${second}', '${first}', '${second}']) {
        await tf.setBackend(backend);
        values.push(await run(model, shape));
      }
      return values;`);
    expect(values).toEqual([model.expected, model.expected, model.expected]);
  });

  test('webgpu: executeAsync runs a model, and predict says to call it', async () => {
    const found = await run<{ values?: number[][]; code?: string; message?: string }>(`
      if (navigator.gpu === undefined || !(await navigator.gpu.requestAdapter())) return {};
      await tf.setBackend('webgpu');
      const model = await loadGraphModel('/model/model.json');
      const values = await run(model, shape, 'executeAsync');
      try { model.predict(tf.zeros(shape)); } catch ({ code, message }) { return { values, code, message }; }`);
    if (found.values === undefined) {
      console.log('SKIPPED: this Chromium starts no WebGPU here.');
      return;
    }
    expect(found.values).toEqual(model.expected);
    expect(found.code).toBe('unsupported-backend');
    expect(found.message).toMatch(
      /'webgpu' can only be read asynchronously; run the model with executeAsync\(\)/,
    );
  });

  const loadings: [what: string, load: string][] = [
    ['its URL', `await loadGraphModel('/model/model.json')`],
    [
      'IndexedDB',
      `await (await loadGraphModel('/model/model.json')).save('indexeddb://demo'), await loadGraphModel('indexeddb://demo')`,
    ],
    ['TensorFlow Hub', `await loadGraphModel(location.origin + '/hub/model/1', { fromTFHub: true })`],
    [
      'chosen files',
      `await loadGraphModel(tf.io.browserFiles(await Promise.all(['model.json', 'group1-shard1of1.bin'].map(async (name) =>
        new File([await (await fetch('/model/' + name)).blob()], name)))))`,
    ],
  ];

  test.each(loadings)('a model comes from %s', async (_, load) => {
    const values = await run(`await tf.setBackend('wasm'); return run((${load}), shape);`);
    expect(values).toEqual(model.expected);
  });

  test('a file input gives the files of a model', async () => {
    const files = ['model.json', 'group1-shard1of1.bin'].map((file) => join(model.folder, file));
    const values = await withPage(async (page) => {
      await page.evaluate(`document.body.innerHTML = '<input type="file" multiple>'`);
      const input = await page.waitForSelector('input');
      await (input as unknown as { uploadFile(...files: string[]): Promise<void> }).uploadFile(...files);
      return page.evaluate(`(async () => {
        await app.tf.setBackend('cpu');
        const { files } = document.querySelector('input');
        return app.run(await app.loadGraphModel(app.tf.io.browserFiles([...files])), [${model.shape}]);
      })()`);
    });
    expect(values).toEqual(model.expected);
  });

  test.each(['cpu', 'wasm', 'webgl'])('a Web Worker runs a model on %s', async (backend) => {
    const found = await run(`
      const code = \`
        import '\${location.origin}/app/built/app.mjs';
        const { tf, loadGraphModel, run } = app;
        await tf.setBackend('${backend}');
        postMessage(await run(await loadGraphModel('\${location.origin}/model/model.json'), [\${shape}]));\`;
      const worker = new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })), { type: 'module' });
      return new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
      });`);
    expect(found).toEqual(model.expected);
  });
});
