// @needs addon
/** Real models give in browsers, on every module, what they give on the native engine, to the bit. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import '@tensorflow/tfjs-backend-cpu';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import type { Browser } from 'puppeteer-core';
import { openBrowser } from '../../benchmarks/web/chromium';
import { serveApp, type WebServer } from '../../benchmarks/web/page';
import { engineInfo, fileSystem } from '../../src/index.node';
import { describeWithBrowser } from '../support/browser';
import { describeWithFirefox, openFirefox } from '../support/firefox';
import { describeWithShared, shared } from '../support/shared';
import { temporaryFolder } from '../support/tiny-model';

const MODELS = ['mobilenet_v1_0.25_224', 'resnet20_cifar10', 'facemesh'];

const { convertByCommand } = require('../support/convert-by-command');

/** In the page. */
declare const app: {
  tf: typeof tf;
  loadGraphModel: typeof loadGraphModel;
  lowbit: typeof import('../../src/index');
};

/** Runs in the page. @returns SHA-256 of the outputs on each instruction set */
async function hashesInPage(isas: string[], names: string[]): Promise<Record<string, string[]>> {
  const { tf, loadGraphModel, lowbit } = app;
  await tf.setBackend('cpu');
  const found: Record<string, string[]> = {};
  for (const isa of isas) {
    lowbit.setIsa(isa);
    found[isa] = [];
    for (const name of names) {
      const model = await loadGraphModel(`/models/${name}/model.json`);
      const shape = model.inputs[0].shape!.map((dim) => Math.max(dim, 1));
      const size = shape.reduce((product, dim) => product * dim, 1);
      const values = Float32Array.from({ length: size }, (_, i) => ((i * 37) % 256) / 128 - 1);
      const outputs = [model.predict(tf.tensor(values, shape)) as tf.Tensor].flat();
      const bytes = outputs.flatMap((output) => [
        ...new Uint8Array((output.dataSync() as Float32Array).buffer),
      ]);
      const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(bytes)));
      found[isa].push([...hash].map((byte) => byte.toString(16).padStart(2, '0')).join(''));
      model.dispose();
    }
  }
  return found;
}

async function hashInNode(location: string): Promise<string> {
  const model = await loadGraphModel(fileSystem(location));
  const shape = model.inputs[0].shape!.map((dim) => Math.max(dim, 1));
  const size = shape.reduce((product, dim) => product * dim, 1);
  const values = Float32Array.from({ length: size }, (_, i) => ((i * 37) % 256) / 128 - 1);
  const hash = createHash('sha256');
  let distinct = 0;
  for (const output of [model.predict(tf.tensor(values, shape)) as tf.Tensor].flat()) {
    const data = output.dataSync() as Float32Array;
    distinct = Math.max(distinct, new Set(data).size);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  model.dispose();
  expect(distinct).toBeGreaterThanOrEqual(10);
  return hash.digest('hex');
}

describeWithShared('real models', () => {
  let server: WebServer;
  const expected: string[] = [];

  beforeAll(async () => {
    const folder = temporaryFolder();
    await tf.setBackend('cpu');
    expect(engineInfo().kind).toBe('native');
    for (const name of MODELS) {
      const output = join(folder, name);
      const input = shared('models', name, 'model.json');
      convertByCommand(input, output, '--recipe', 'fast');
      expected.push(await hashInNode(join(output, 'model.json')));
    }
    server = await serveApp({ '/models/': folder });
  }, 300_000);

  afterAll(() => server?.close());

  const ISAS = ['wasmrelaxed', 'wasmsimd', 'wasm'];

  async function expectHashes(open: () => Promise<{ browser: Browser; close(): Promise<void> }>) {
    const { browser, close } = await open();
    try {
      const page = await browser.newPage();
      await page.goto(`${server.url}/index.html`);
      await page.waitForFunction('globalThis.app !== undefined');
      const found = await page.evaluate(hashesInPage, ISAS, MODELS);
      expect(found).toEqual(Object.fromEntries(ISAS.map((isa) => [isa, expected])));
    } finally {
      await close();
    }
  }

  describeWithBrowser('in Chromium', () => {
    test('give what they give on the native engine', () => expectHashes(openBrowser), 120_000);
  });

  describeWithFirefox('in Firefox', () => {
    test('give what they give on the native engine', () => expectHashes(openFirefox), 120_000);
  });
});
