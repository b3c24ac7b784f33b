/**
 * Predictions in Chromium: ours on each WebAssembly module against TF.js's float model, on its wasm backend, which takes
 * 128-bit vectors, both with so many threads. In one page, which is isolated, in turn. Then the cold start of each: the
 * time from an empty page to the first answer, TF.js being there; and what the renderer's resident memory grows by.
 *
 *   npm run bench:web
 *   npm run bench:web -- --models mobilenet_v2_1.0_224_float --runs 100 --threads 2
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { loadGraphModel as load } from '@tensorflow/tfjs-converter';
import type * as core from '@tensorflow/tfjs-core';
import { Command } from 'commander';
import type { Browser, Page } from 'puppeteer-core';
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
  threads: number;
  json?: boolean;
}

/** In the page. */
declare const app: {
  tf: typeof core;
  loadGraphModel: typeof load;
  lowbit: typeof ours;
  setThreadsCount(threads: number): void;
};

interface Times {
  median: number;
  min: number;
}

const text = (times: Times) => `${times.median.toFixed(2)} (${times.min.toFixed(2)})`;

const ISAS = ['wasmrelaxed', 'wasmsimd', 'wasm'];
const WARM_UP = 10;

interface Found {
  /** Milliseconds of every prediction, input and output included: float, then ours by ISA. */
  readonly times: number[][];
  readonly dotForm: string | undefined;
}

/** Runs in the page. */
async function timeInPage(isas: string[], threads: number, warmUp: number, runs: number): Promise<Found> {
  const { tf, loadGraphModel, lowbit } = app;
  app.setThreadsCount(threads);
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
    lowbit.setThreads(threads);
    const model = await loadGraphModel('/int8/model.json');
    models.push(model);
    // The program is compiled for this instruction set.
    answers.add((await predict(model)).join());
    while (lowbit.engineInfo().activeThreads < threads) {
      await new Promise((later) => setTimeout(later, 10));
    }
  }
  lowbit.setIsa('wasmrelaxed');
  const { dotForm } = lowbit.engineInfo();
  if (answers.size !== 1) throw new Error('The modules do not agree.');
  const times: number[][] = models.map(() => []);
  for (let run = -warmUp; run < runs; run++) {
    for (let i = 0; i < models.length; i++) {
      const start = performance.now();
      await predict(models[i]);
      if (run >= 0) times[i].push(performance.now() - start);
    }
  }
  return { times, dotForm };
}

/** Runs in the page: loads a model and predicts. @returns milliseconds until the first answer */
async function startInPage(path: string, backend: string, predictions: number): Promise<number> {
  const { tf, loadGraphModel } = app;
  const start = performance.now();
  app.setThreadsCount(1);
  await tf.setBackend(backend);
  if (path === '') return 0;
  const model = await loadGraphModel(path);
  const shape = model.inputs[0].shape!.map((dim) => Math.max(dim, 1));
  const input = tf.zeros(shape);
  let first = 0;
  for (let i = 0; i < predictions; i++) {
    const output = [model.predict(input) as core.Tensor].flat()[0];
    await output.data();
    output.dispose();
    first ||= performance.now() - start;
  }
  // The model stays until its memory has been measured.
  Object.assign(app, { model });
  return first;
}

async function openApp(browser: Browser, url: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${url}/isolated.html`);
  await page.waitForFunction('globalThis.app !== undefined');
  return page;
}

async function measure(browser: Browser, url: string, threads: number, runs: number): Promise<Found> {
  const page = await openApp(browser, url);
  const found = await page.evaluate(timeInPage, ISAS, threads, WARM_UP, runs);
  await page.close();
  return found;
}

/** Of the renderer with the most, which is that of the page. */
function residentBytes(browserPid: number): number {
  const children = (pid: string): string[] => {
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(/\s+/)
      .filter(Boolean);
    return [...list, ...list.flatMap(children)];
  };
  const renderers = children(String(browserPid)).filter((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer'),
  );
  const sizes = renderers.map((pid) =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]),
  );
  return Math.max(...sizes) * 1024;
}

/** A browser each, as pages of one share what it caches. */
async function measureStart(
  url: string,
  path: string,
  backend: string,
): Promise<{ start: number; bytes: number }> {
  const { browser, close } = await openBrowser();
  try {
    const page = await openApp(browser, url);
    const start = await page.evaluate(startInPage, path, backend, 100);
    return { start, bytes: residentBytes(browser.process()!.pid!) };
  } finally {
    await close();
  }
}

interface Start {
  readonly what: string;
  readonly milliseconds: number;
  readonly grownBytes: number;
}

async function measureStarts(url: string): Promise<Start[]> {
  const starts: Start[] = [];
  const empty: Record<string, number> = {};
  for (const backend of ['cpu', 'wasm']) empty[backend] = (await measureStart(url, '', backend)).bytes;
  for (const [what, path, backend] of [
    ['float on wasm', '/float/model.json', 'wasm'],
    ['ours on cpu', '/int8/model.json', 'cpu'],
    ['ours on wasm', '/int8/model.json', 'wasm'],
  ]) {
    const { start, bytes } = await measureStart(url, path, backend);
    starts.push({ what, milliseconds: start, grownBytes: bytes - empty[backend] });
  }
  return starts;
}

async function main({ models, runs, threads, json }: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-lowbit-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const { browser, close } = await openBrowser();
  const version = await browser.version();
  const results: { model: string; float: Times; ours: Record<string, Times>; starts: Start[] }[] = [];
  let form: string | undefined;
  try {
    for (const subject of findSubjects(models)) {
      const float = await subject.float(join(folder, subject.name));
      const int8 = join(folder, `${subject.name}-int8`);
      await convert({
        input: float,
        output: int8,
        calibration: subject.calibration,
        samples: 4,
        recipe: 'fast',
      });
      const server = await serveApp({ '/float/': dirname(float), '/int8/': int8 });
      const { times, dotForm } = await measure(browser, server.url, threads, runs);
      form = dotForm;
      const [first, ...rest] = times.map((times) => ({ median: median(times), min: Math.min(...times) }));
      const starts = await measureStarts(server.url);
      server.close();
      const byIsa = Object.fromEntries(ISAS.map((isa, i) => [isa, rest[i]]));
      results.push({ model: subject.name, float: first, ours: byIsa, starts });
    }
  } finally {
    await close();
  }
  if (json) {
    console.log(
      JSON.stringify(
        { machine: machine({ Chromium: version }), threads, dotForm: form, runs, results },
        null,
        2,
      ),
    );
    return;
  }
  console.log(headerLines('npm run bench:web', machine({ Chromium: version })).join('\n'));
  console.log(
    `Relaxed dot product of this machine in Chromium: ${form}.\n` +
      `Milliseconds a prediction, median (minimum) of ${runs}, threads: ${threads}, and how much faster than float on TF.js wasm:`,
  );
  const rows = results.map(({ model, float, ours: times }) => [
    model,
    text(float),
    ...ISAS.map((isa) => `${text(times[isa])} ${(float.median / times[isa].median).toFixed(2)}x`),
  ]);
  console.log(table(['model', 'float', ...ISAS], rows));
  console.log(
    'Milliseconds to the first answer, and what resident memory grows by, after 100 predictions, over the same page without a model:',
  );
  const startRows = results.flatMap(({ model, starts }) =>
    starts.map(({ what, milliseconds, grownBytes }) => [
      `${model}, ${what}`,
      milliseconds.toFixed(0),
      `${(grownBytes / 2 ** 20).toFixed(1)} MiB, ${((100 * grownBytes) / starts[0].grownBytes).toFixed(0)} %`,
    ]),
  );
  console.log(table(['', 'cold start, ms', 'memory'], startRows));
}

runCommand(
  new Command('bench:web')
    .option('--models <names>', 'separated by commas', (text) => text.split(','), [
      'mobilenet_v2',
      'resnet50',
    ])
    .option('--runs <number>', 'timed predictions of each', positiveInteger, 50)
    .option('--threads <number>', 'of both', positiveInteger, 1)
    .option('--json', 'print the result as JSON')
    .action(main),
);
