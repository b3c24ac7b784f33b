// @needs engine
/** In Chromium: a page trains a model, quantizes it, saves it, and runs what it saved. */
import type { loadGraphModel } from '@tensorflow/tfjs-converter';
import type * as tf from '@tensorflow/tfjs-core';
import type * as layers from '@tensorflow/tfjs-layers';
import type { Browser } from 'puppeteer-core';
import { openBrowser } from '../../benchmarks/web/chromium';
import { serveApp, type WebServer } from '../../benchmarks/web/page';
import type * as convert from '../../src/convert.browser';
import { describeWithBrowser } from '../support/browser';

/** In the page. */
declare const app: {
  tf: typeof tf;
  layers: typeof layers;
  loadGraphModel: typeof loadGraphModel;
  convert: typeof convert;
};

const MORE = `
  import * as layers from '@tensorflow/tfjs-layers';
  import * as convert from 'tfjs-lowbit/convert';
  Object.assign(app, { layers, convert });
`;

interface Found {
  /** Share of the test samples that a model gets right. */
  readonly right: { float: number; int8: number; loaded: number };
  /** The loaded model gives what the one before saving gave. */
  readonly same: boolean;
  readonly bytes: { float: number; int8: number };
  readonly quantized: string[];
  /** Tensors that are left when the models are disposed of. */
  readonly tensors: number;
}

/** Runs in the page: a network learns in which quarter of a picture there is a bright spot. */
async function trainAndQuantize(backend: string, each: convert.QuantizationOptions[]): Promise<Found[]> {
  const { tf, layers, loadGraphModel, convert } = app;
  await tf.setBackend(backend);
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const draw = (count: number) => {
    const pictures = Float32Array.from({ length: count * 256 }, () => 0.3 * random());
    const quarters = Array.from({ length: count }, (_, i) => {
      const [x, y] = [Math.floor(16 * random()), Math.floor(16 * random())];
      pictures[i * 256 + y * 16 + x] += 1;
      return 2 * Math.floor(y / 8) + Math.floor(x / 8);
    });
    return { x: tf.tensor4d(pictures, [count, 16, 16, 1]), quarters };
  };
  const model = layers.sequential({
    layers: [
      layers.layers.conv2d({
        inputShape: [16, 16, 1],
        filters: 8,
        kernelSize: 3,
        padding: 'same',
        activation: 'relu',
      }),
      layers.layers.maxPooling2d({ poolSize: 4 }),
      layers.layers.conv2d({ filters: 32, kernelSize: 3, padding: 'same', activation: 'relu' }),
      layers.layers.flatten(),
      layers.layers.dense({ units: 64, activation: 'relu' }),
      layers.layers.dense({ units: 4, activation: 'softmax' }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(0.01), loss: 'categoricalCrossentropy' });
  const training = draw(256);
  const labels = tf.oneHot(training.quarters, 4);
  // The WebAssembly backend has no gradients of convolutions.
  await tf.setBackend('cpu');
  await model.fit(training.x, labels, { epochs: 6, batchSize: 16, verbose: 0 });
  await tf.setBackend(backend);

  const test = draw(200);
  const right = (scores: tf.Tensor) => {
    const guesses = tf.tidy(() => tf.argMax(scores, 1).dataSync());
    return test.quarters.filter((quarter, i) => quarter === guesses[i]).length / test.quarters.length;
  };
  const float = model.predict(test.x) as tf.Tensor;
  const data = tf.slice(training.x, 0, 64);
  const results: Found[] = [];
  for (const options of each) {
    const before = tf.memory().numTensors;
    const int8 = await convert.quantizeModel(model, data, options);
    const scores = int8.predict(test.x) as tf.Tensor;
    const { modelArtifactsInfo } = await int8.save('indexeddb://quarters');
    const loaded = await loadGraphModel('indexeddb://quarters');
    const again = loaded.predict(test.x) as tf.Tensor;
    const found = {
      right: { float: right(float), int8: right(scores), loaded: right(again) },
      same: [...(await scores.data())].join() === [...(await again.data())].join(),
      bytes: { float: 4 * model.countParams(), int8: modelArtifactsInfo.weightDataBytes! },
      quantized: int8.report.quantized.map(({ op }) => op),
    };
    int8.dispose();
    loaded.dispose();
    tf.dispose([scores, again]);
    results.push({ ...found, tensors: tf.memory().numTensors - before });
  }
  return results;
}

describeWithBrowser('in Chromium', () => {
  let browser: Browser;
  let closeBrowser: () => Promise<void>;
  let server: WebServer;

  beforeAll(async () => {
    server = await serveApp({}, MORE);
    ({ browser, close: closeBrowser } = await openBrowser());
  }, 120_000);

  afterAll(async () => {
    await closeBrowser?.();
    server?.close();
  });

  test.each([
    ['cpu', [{}]],
    ['wasm', [{}, { recipe: 'fast' }, { dynamic: ['**'] }]],
  ] as [string, convert.QuantizationOptions[]][])(
    'a page on %s shrinks the model that it has trained, options %j',
    async (backend, options) => {
      server.requests.length = 0;
      const page = await browser.newPage();
      try {
        // Which forbids what would make code of text.
        await page.goto(`${server.url}/strict.html`, { waitUntil: 'load' });
        await page.waitForFunction('globalThis.app?.convert !== undefined');
        const results = await page.evaluate(trainAndQuantize, backend, options);
        const modules = server.requests.filter((url) => url.includes('lowbit-'));
        expect(modules).toEqual(['/native/web/modules/lowbit-relaxed.wasm']);
        for (const found of results) {
          expect(found.right.float).toBeGreaterThan(0.9);
          expect(Math.abs(found.right.int8 - found.right.float)).toBeLessThanOrEqual(0.02);
          expect(found.same).toBe(true);
          expect(found.right.loaded).toBe(found.right.int8);
          expect(found.bytes.int8).toBeLessThan(0.32 * found.bytes.float);
          expect(found.quantized).toEqual(expect.arrayContaining(['_FusedConv2D', '_FusedMatMul']));
          expect(found.tensors).toBe(0);
        }
      } finally {
        await page.close();
      }
    },
  );
});
