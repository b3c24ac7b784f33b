/** Compares a converted model with its float original: accuracy, agreement, latency, memory. */
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { imageInput, labelKey, listImages, readImage } from './calibration/data/image-folder';
import { readLabels } from './calibration/data/labels';
import type { ImageOptions, InputSpec, SampleSource } from './calibration/source';
import { checkArgument, LowbitError } from './errors';
import { yieldToCancel } from './evaluation/cancelled';
import { type MemoryUse, measureMemory } from './evaluation/memory';
import { ModelSession, median, type Output } from './evaluation/session';
import type { Sample } from './graph/ir';
import { modelBytes, toPath } from './graph/read-graph-model';
import { importBackend, withBackend } from './runtime/backends';
import { engineInfo } from './runtime/current-engine';

export interface CompareOptions {
  /** Path or file URL of the float model's model.json. */
  float: string;
  /** Path or file URL of the converted model's model.json. */
  lowbit: string;
  /** Folder of images to run; or `samples`. */
  images?: string;
  samples?: SampleSource;
  imageOptions?: ImageOptions;
  /** Labels of the images: JSON, path relative to its own folder -> class index or `{index, name}`. */
  labels?: string;
  /** Added to a label's index to get the model's class: 1 where class 0 is a background class. Default 0. */
  labelOffset?: number;
  /** How many samples to run at most. Default: all. */
  limit?: number;
  /** Timed predictions of each model. Default 50. */
  latencyRuns?: number;
  /** Whether to measure memory, in two child processes. Default true. */
  memory?: boolean;
  onProgress?(done: number, total: number | undefined): void;
  signal?: AbortSignal;
}

export interface CompareReport {
  samples: number;
  /** Percent of labelled samples whose highest score is the label's. */
  top1?: { labelled: number; float: number; lowbit: number };
  /** Percent of samples where both models give the highest score to the same class (first output that has classes). */
  agreement?: number;
  /** Signal-to-noise of each output over all samples, in dB. */
  outputs: { name: string; signalToNoise: number }[];
  latency: {
    /** Median milliseconds of a prediction, input and output included, batch of one sample. */
    float: number;
    lowbit: number;
    speedup: number;
    runs: number;
    backend: string;
    isa: string;
    threads: number;
  };
  memory?: { float: MemoryUse; lowbit: MemoryUse };
  /** Of model.json and shards. */
  bytes: { float: number; lowbit: number };
}

interface Item {
  sample: Sample;
  label?: number;
}

function argMax(values: Float32Array, start: number, end: number): number {
  let best = start;
  for (let i = start + 1; i < end; i++) if (values[i] > values[best]) best = i;
  return best - start;
}

/** Highest-scoring class of each row of a [batch, classes] output. */
function topClasses({ shape, values }: Output): number[] {
  const [batch, classes] = shape;
  return Array.from({ length: batch }, (_, row) => argMax(values, row * classes, (row + 1) * classes));
}

function looksLikeScores({ shape }: Output): boolean {
  return shape.length === 2 && shape[1] > 1;
}

/** Running sums of what the report tells. */
class Tally {
  samples = 0;
  private agreeing = 0;
  private rows = 0;
  private labelled = 0;
  private readonly right = { float: 0, lowbit: 0 };
  private readonly energy = new Map<string, { signal: number; noise: number }>();

  add(float: readonly Output[], lowbit: readonly Output[], label: number | undefined): void {
    this.samples++;
    float.forEach(({ name, values }, i) => {
      const sums = this.energy.get(name) ?? { signal: 0, noise: 0 };
      const other = lowbit[i].values;
      values.forEach((x, j) => {
        sums.signal += x ** 2;
        sums.noise += (x - other[j]) ** 2;
      });
      this.energy.set(name, sums);
    });
    const scores = float.findIndex(looksLikeScores);
    if (scores < 0) return;
    const ours = topClasses(lowbit[scores]);
    topClasses(float[scores]).forEach((theirs, row) => {
      this.rows++;
      if (theirs === ours[row]) this.agreeing++;
      if (label === undefined) return;
      this.labelled++;
      if (theirs === label) this.right.float++;
      if (ours[row] === label) this.right.lowbit++;
    });
  }

  report(): Pick<CompareReport, 'samples' | 'top1' | 'agreement' | 'outputs'> {
    const percent = (part: number, whole: number) => (100 * part) / whole;
    return {
      samples: this.samples,
      ...(this.labelled > 0 && {
        top1: {
          labelled: this.labelled,
          float: percent(this.right.float, this.labelled),
          lowbit: percent(this.right.lowbit, this.labelled),
        },
      }),
      ...(this.rows > 0 && { agreement: percent(this.agreeing, this.rows) }),
      outputs: [...this.energy].map(([name, { signal, noise }]) => ({
        name,
        signalToNoise: noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise),
      })),
    };
  }
}

/** @throws LowbitError 'invalid-model' for models that are not forms of one another */
function checkSameOutputs(
  { float, lowbit }: CompareOptions,
  results: Record<'float' | 'lowbit', readonly Output[]>,
): void {
  const describe = (outputs: readonly Output[]) => outputs.map(({ shape }) => `[${shape}]`).join(', ');
  const shapes = { float: describe(results.float), lowbit: describe(results.lowbit) };
  if (shapes.float === shapes.lowbit) return;
  throw new LowbitError(
    'invalid-model',
    `${lowbit} has outputs of shape ${shapes.lowbit} but ${float} ${shapes.float}; give the float model that was converted.`,
  );
}

async function openItems(
  options: CompareOptions,
  inputs: readonly InputSpec[],
): Promise<{ items: AsyncIterable<Item>; total?: number }> {
  const { images, samples, imageOptions = {}, labels, labelOffset = 0 } = options;
  checkArgument(
    (images === undefined) !== (samples === undefined),
    'images',
    'either images or samples',
    images,
  );
  if (samples !== undefined) {
    checkArgument(labels === undefined, 'labels', 'none where samples are given', labels);
    return {
      items: (async function* () {
        for await (const sample of samples(inputs)) yield { sample };
      })(),
    };
  }
  const folder = images as string;
  const input = imageInput(inputs, imageOptions);
  const files = await listImages(folder);
  const labelOf = labels === undefined ? () => undefined : await readLabels(labels);
  if (labels !== undefined && !files.some((file) => labelOf(join(folder, file)) !== undefined)) {
    throw new LowbitError(
      'invalid-argument',
      `${labels} has a label for no image of ${folder}; expected keys like '${labelKey(dirname(labels), join(folder, files[0]))}'.`,
    );
  }
  const items = (async function* () {
    for (const file of files) {
      const path = join(folder, file);
      const index = labelOf(path);
      const sample = { [input.name]: await readImage(path, input, imageOptions) };
      yield { sample, ...(index !== undefined && { label: index + labelOffset }) };
    }
  })();
  return { items, total: files.length };
}

interface Pair {
  float: ModelSession;
  lowbit: ModelSession;
}

/** Runs both models on all items, and keeps the first sample for timing. */
async function runItems(
  { float, lowbit }: Pair,
  options: CompareOptions,
): Promise<{ tally: Tally; first: Sample }> {
  const { limit = Number.POSITIVE_INFINITY, signal } = options;
  const tally = new Tally();
  let first: Sample | undefined;
  const { items, total } = await openItems(options, float.inputs);
  for await (const { sample, label } of items) {
    await yieldToCancel(signal);
    first ??= sample;
    const results = { float: float.predict(sample), lowbit: lowbit.predict(sample) };
    checkSameOutputs(options, results);
    tally.add(results.float, results.lowbit, label);
    options.onProgress?.(tally.samples, total === undefined ? undefined : Math.min(total, limit));
    if (tally.samples >= limit) break;
  }
  if (first === undefined) throw new LowbitError('invalid-argument', 'There are no samples to compare on.');
  return { tally, first };
}

/** Milliseconds of one prediction, from input data to output data. */
function timePrediction(session: ModelSession, sample: Sample): number {
  const start = performance.now();
  session.predict(sample);
  return performance.now() - start;
}

async function timeInterleaved(
  { float, lowbit }: Pair,
  sample: Sample,
  runs: number,
  signal: AbortSignal | undefined,
): Promise<Pick<CompareReport['latency'], 'float' | 'lowbit' | 'speedup' | 'runs'>> {
  const times: { float: number[]; lowbit: number[] } = { float: [], lowbit: [] };
  for (let run = 0; run < runs; run++) {
    await yieldToCancel(signal);
    times.float.push(timePrediction(float, sample));
    times.lowbit.push(timePrediction(lowbit, sample));
  }
  const medians = { float: median(times.float), lowbit: median(times.lowbit) };
  return { ...medians, speedup: medians.float / medians.lowbit, runs };
}

/**
 * Runs a float model and its converted form on the same data.
 *
 * @returns accuracy, agreement, signal-to-noise, latency (interleaved, in this process) and memory (in child processes)
 * @throws LowbitError 'io', 'invalid-model', 'invalid-weights', 'invalid-argument', 'cancelled'
 */
export async function compare(options: CompareOptions): Promise<CompareReport> {
  const { limit, latencyRuns = 50, memory = true, signal } = options;
  checkArgument(limit === undefined || limit > 0, 'limit', 'a positive number', limit);
  const countable = Number.isInteger(latencyRuns) && latencyRuns > 0;
  checkArgument(countable, 'latencyRuns', 'a positive integer', latencyRuns);
  const backend = await importBackend();
  const report = await withBackend(backend, async () => {
    const float = await ModelSession.load(options.float);
    const lowbit = await ModelSession.load(options.lowbit);
    try {
      const { tally, first } = await runItems({ float, lowbit }, options);
      const latency = await timeInterleaved({ float, lowbit }, first, latencyRuns, signal);
      const { isa, threads } = engineInfo();
      return {
        ...tally.report(),
        latency: { ...latency, backend: `${backend} ${tf.version_core}`, isa, threads },
      };
    } finally {
      float.dispose();
      lowbit.dispose();
    }
  });
  return {
    ...report,
    ...(memory && {
      memory: {
        float: await measureMemory(toPath(options.float), backend, signal),
        lowbit: await measureMemory(toPath(options.lowbit), backend, signal),
      },
    }),
    bytes: { float: await modelBytes(options.float), lowbit: await modelBytes(options.lowbit) },
  };
}
