/** Cold starts: the time from a page that has TF.js to its first answer, and what the renderer's memory grows by. */
import { readFileSync } from 'node:fs';
import type { loadGraphModel as load } from '@tensorflow/tfjs-converter';
import type * as core from '@tensorflow/tfjs-core';
import { openBrowser, openPage } from './chromium';
import { PATHS } from './contestants';

/** In the page. */
declare const app: {
  tf: typeof core;
  loadGraphModel: typeof load;
  setThreadsCount(threads: number): void;
};

export interface ColdStart {
  readonly what: string;
  /** Until the first answer. */
  readonly milliseconds: number;
  /** Over the same page without a model, after the predictions. */
  readonly grownBytes: number;
}

const PREDICTIONS = 100;

/** Runs in the page: loads a model, if any, and predicts. @returns milliseconds until the first answer */
async function startInPage(path: string | undefined, backend: string, predictions: number): Promise<number> {
  const { tf, loadGraphModel } = app;
  const start = performance.now();
  app.setThreadsCount(1);
  await tf.setBackend(backend);
  if (path === undefined) return 0;
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
async function start(
  url: string,
  path: string | undefined,
  backend: string,
): Promise<{ milliseconds: number; bytes: number }> {
  const { browser, close } = await openBrowser();
  try {
    const page = await openPage(browser, url);
    const milliseconds = await page.evaluate(startInPage, path, backend, PREDICTIONS);
    return { milliseconds, bytes: residentBytes(browser.process()!.pid!) };
  } finally {
    await close();
  }
}

/** @param url of the server of the models */
export async function measureColdStarts(url: string): Promise<ColdStart[]> {
  const starts: ColdStart[] = [];
  const empty: Record<string, number> = {};
  for (const backend of ['cpu', 'wasm']) empty[backend] = (await start(url, undefined, backend)).bytes;
  for (const [what, path, backend] of [
    ['float on wasm', PATHS.float, 'wasm'],
    ['ours on cpu', PATHS.int8, 'cpu'],
    ['ours on wasm', PATHS.int8, 'wasm'],
  ]) {
    const { milliseconds, bytes } = await start(url, path, backend);
    starts.push({ what, milliseconds, grownBytes: bytes - empty[backend] });
  }
  return starts;
}
