/**
 * Predictions in Chromium: ours on each WebAssembly module against TF.js's float model, on its wasm backend, which takes
 * 128-bit vectors and, in a page that is not isolated, one thread. In one page, in turn.
 *
 *   npm run bench:web
 *   npm run bench:web -- --models mobilenet_v2_1.0_224_float --runs 100
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { loadGraphModel as load } from '@tensorflow/tfjs-converter';
import type * as core from '@tensorflow/tfjs-core';
import { Command } from 'commander';
import type { Page } from 'puppeteer-core';
import { median } from '../src/base/median';
import { positiveInteger, table } from '../src/cli/command';
import { convert } from '../src/conversion/convert';
import '../src/index.node';
import type * as ours from '../src/index.node';
import { headerLines, machine } from './machine';
import { runCommand } from './run-command';
import { findSubjects } from './subjects';
import { openBrowser } from './web/chromium';
import { serveApp } from './web/page';

interface Options {
  models: string[];
  runs: number;
  json?: boolean;
}

/** In the page. */
declare const app: { tf: typeof core; loadGraphModel: typeof load; lowbit: typeof ours };

interface Times {
  median: number;
  min: number;
}

const text = (times: Times) => `${times.median.toFixed(2)} (${times.min.toFixed(2)})`;

const ISAS = ['wasmrelaxed', 'wasmsimd', 'wasm'];
const WARM_UP = 10;

/** Runs in the page. @returns milliseconds of every prediction, input and output included: float, then ours by ISA */
async function timeInPage(isas: string[], warmUp: number, runs: number): Promise<number[][]> {
  const { tf, loadGraphModel, lowbit } = app;
  await tf.setBackend('wasm');
  const models = [await loadGraphModel('/float/model.json')];
  const shape = models[0].inputs[0].shape!.map((dim) => Math.max(dim, 1));
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i));
  const predict = async (model: (typeof models)[number]) => {
    const input = tf.tensor(values, shape);
    const output = [model.predict(input) as core.Tensor].flat()[0];
    const data = await output.data();
    tf.dispose([input, output]);
    return data;
  };
  const answers = new Set<string>();
  for (const isa of isas) {
    lowbit.setIsa(isa);
    const model = await loadGraphModel('/int8/model.json');
    models.push(model);
    // The program is compiled for this instruction set.
    answers.add((await predict(model)).join());
  }
  if (answers.size !== 1) throw new Error('The modules do not agree.');
  const times: number[][] = models.map(() => []);
  for (let run = -warmUp; run < runs; run++) {
    for (let i = 0; i < models.length; i++) {
      const start = performance.now();
      await predict(models[i]);
      if (run >= 0) times[i].push(performance.now() - start);
    }
  }
  return times;
}

async function measure(page: Page, url: string, runs: number): Promise<number[][]> {
  await page.goto(`${url}/index.html`);
  await page.waitForFunction('globalThis.app !== undefined');
  return page.evaluate(timeInPage, ISAS, WARM_UP, runs);
}

async function main({ models, runs, json }: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-lowbit-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const { browser, close } = await openBrowser();
  const version = await browser.version();
  const results: { model: string; float: Times; ours: Record<string, Times> }[] = [];
  try {
    for (const subject of findSubjects(models)) {
      const float = await subject.float(join(folder, subject.name));
      const int8 = join(folder, `${subject.name}-int8`);
      await convert({ input: float, output: int8, calibration: subject.calibration, samples: 4 });
      const server = await serveApp({ '/float/': dirname(float), '/int8/': int8 });
      const page = await browser.newPage();
      const measured = await measure(page, server.url, runs);
      const [first, ...rest] = measured.map((times) => ({ median: median(times), min: Math.min(...times) }));
      await page.close();
      server.close();
      const byIsa = Object.fromEntries(ISAS.map((isa, i) => [isa, rest[i]]));
      results.push({ model: subject.name, float: first, ours: byIsa });
    }
  } finally {
    await close();
  }
  if (json) {
    console.log(JSON.stringify({ machine: machine({ Chromium: version }), runs, results }, null, 2));
    return;
  }
  console.log(headerLines('npm run bench:web', machine({ Chromium: version })).join('\n'));
  console.log(
    `Milliseconds a prediction, median (minimum) of ${runs}, one thread, and how much faster than float on TF.js wasm:`,
  );
  const rows = results.map(({ model, float, ours: times }) => [
    model,
    text(float),
    ...ISAS.map((isa) => `${text(times[isa])} ${(float.median / times[isa].median).toFixed(2)}x`),
  ]);
  console.log(table(['model', 'float', ...ISAS], rows));
}

runCommand(
  new Command('bench:web')
    .option('--models <names>', 'separated by commas', (text) => text.split(','), [
      'mobilenet_v2',
      'resnet50',
    ])
    .option('--runs <number>', 'timed predictions of each', positiveInteger, 50)
    .option('--json', 'print the result as JSON')
    .action(main),
);
