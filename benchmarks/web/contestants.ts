/** What is timed in a page. The functions that a page is handed reach only what is in it, and their arguments. */
import type { loadGraphModel as load } from '@tensorflow/tfjs-converter';
import type * as core from '@tensorflow/tfjs-core';
import type { Page } from 'puppeteer-core';
import type * as ours from '../../src/index.node';

export const CONTESTANTS = {
  float: 'TF.js wasm float',
  onnxruntime: 'onnxruntime-web INT8',
  litert: 'LiteRT.js INT8',
  wasmsimd: 'ours, wasmsimd',
  wasmrelaxed: 'ours, wasmrelaxed',
} as const;

export type Contestant = keyof typeof CONTESTANTS;

/** What `serveApp` serves for them. */
export const PATHS = {
  float: '/float/model.json',
  int8: '/int8/model.json',
  onnx: '/onnx/int8.onnx',
  tflite: '/tflite/model.tflite',
  onnxruntime: '/onnxruntime/ort.wasm.min.mjs',
  litert: '/litert/index.mjs',
  litertModules: '/litert/wasm/',
} as const;

interface Loading {
  readonly contestant: Contestant;
  readonly threads: number;
  /** Channels last. */
  readonly shape: readonly number[];
  readonly values: readonly number[];
  readonly paths: typeof PATHS;
}

interface App {
  readonly tf: typeof core;
  readonly loadGraphModel: typeof load;
  readonly lowbit: typeof ours;
  setThreadsCount(threads: number): void;
  /** Predictions, from the values of an input to those of the output. */
  readonly predict: Partial<Record<Contestant, () => Promise<Float32Array>>>;
}

declare const app: App;
declare const navigator: object;

/** Runs in the page: makes a contestant ready to predict. */
async function loadInPage({ contestant, threads, shape, values, paths }: Loading): Promise<void> {
  const { tf, loadGraphModel, lowbit, predict } = app;
  const input = Float32Array.from(values);

  async function loadTfjs(path: string): Promise<() => Promise<Float32Array>> {
    const model = await loadGraphModel(path);
    return async () => {
      const tensor = tf.tensor(input, [...shape]);
      const output = [model.predict(tensor) as core.Tensor].flat()[0];
      const data = (await output.data()) as Float32Array;
      tf.dispose([tensor, output]);
      return data;
    };
  }

  async function loadOurs(isa: string): Promise<() => Promise<Float32Array>> {
    lowbit.setIsa(isa);
    lowbit.setThreads(threads);
    const predict = await loadTfjs(paths.int8);
    // The program is compiled for this instruction set.
    await predict();
    while (lowbit.engineInfo().activeThreads < threads) {
      await new Promise((later) => setTimeout(later, 10));
    }
    return predict;
  }

  async function loadOnnxruntime(): Promise<() => Promise<Float32Array>> {
    const ort = await import(paths.onnxruntime);
    ort.env.wasm.numThreads = threads;
    const session = await ort.InferenceSession.create(paths.onnx, {
      executionProviders: ['wasm'],
      graphOptimizationLevel: 'all',
      executionMode: 'sequential',
      freeDimensionOverrides: { batch: 1 },
      logSeverityLevel: 3,
    });
    // Channels come first.
    const [, height, width, channels] = shape;
    const turned = Float32Array.from(input, (_, i) => {
      const pixel = i % (height * width);
      return input[pixel * channels + Math.floor(i / (height * width))];
    });
    const [name] = session.inputNames;
    return async () => {
      const tensor = new ort.Tensor('float32', turned, [1, channels, height, width]);
      const outputs = await session.run({ [name]: tensor });
      return outputs[session.outputNames[0]].data;
    };
  }

  async function loadLitert(): Promise<() => Promise<Float32Array>> {
    const litert = await import(paths.litert);
    await litert.loadLiteRt(paths.litertModules, { threads: threads > 1 });
    const model = await litert.loadAndCompile(paths.tflite, {
      accelerator: 'wasm',
      cpuOptions: { numThreads: threads },
    });
    return async () => {
      const tensor = new litert.Tensor(input, [...shape]);
      const [output] = await model.run(tensor);
      const data = await output.data();
      tensor.delete();
      output.delete();
      return data;
    };
  }

  // TF.js takes half of what the browser says it has, and not what it is told, if that is more.
  Object.defineProperty(navigator, 'hardwareConcurrency', { value: 2 * threads });
  app.setThreadsCount(threads);
  await tf.setBackend('wasm');
  if (contestant === 'float') predict.float = await loadTfjs(paths.float);
  else if (contestant === 'onnxruntime') predict.onnxruntime = await loadOnnxruntime();
  else if (contestant === 'litert') predict.litert = await loadLitert();
  else predict[contestant] = await loadOurs(contestant);
}

/** Runs in the page. @returns milliseconds of each prediction; the first, after a rest, is not timed */
async function timeInPage(contestant: Contestant, runs: number): Promise<number[]> {
  const predict = app.predict[contestant]!;
  const times: number[] = [];
  for (let run = -1; run < runs; run++) {
    const start = performance.now();
    await predict();
    if (run >= 0) times.push(performance.now() - start);
  }
  return times;
}

const predictInPage = async (contestant: Contestant) => [...(await app.predict[contestant]!())];

/** A page in which contestants have been loaded, all with so many threads. */
export class Arena {
  private constructor(
    readonly page: Page,
    readonly contestants: readonly Contestant[],
  ) {}

  /** @param page of `serveApp`, isolated where threads are more than one */
  static async open(
    page: Page,
    contestants: readonly Contestant[],
    loading: Omit<Loading, 'contestant' | 'paths'>,
  ): Promise<Arena> {
    await page.evaluate('app.predict = {}');
    for (const contestant of contestants) {
      await page.evaluate(loadInPage, { ...loading, contestant, paths: PATHS });
    }
    return new Arena(page, contestants);
  }

  async predict(contestant: Contestant): Promise<Float32Array> {
    return Float32Array.from(await this.page.evaluate(predictInPage, contestant));
  }

  time(contestant: Contestant, runs: number): Promise<number[]> {
    return this.page.evaluate(timeInPage, contestant, runs);
  }

  /** Of the machine in this browser. */
  dotForm(): Promise<string | undefined> {
    return this.page.evaluate(() => {
      app.lowbit.setIsa('wasmrelaxed');
      return app.lowbit.engineInfo().dotForm;
    });
  }
}
