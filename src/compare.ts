/** Compares a converted model with its float original: accuracy, agreement, latency, memory. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { imageInput, listImages, readImage } from './calibration/data/image-folder';
import { readLabels } from './calibration/data/labels';
import type { ImageOptions, InputSpec, SampleSource } from './calibration/source';
import { checkArgument, LowbitError } from './errors';
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

/** Milliseconds of one prediction, from input data to output data. */
export function timePrediction(session: ModelSession, sample: Sample): number {
  const start = performance.now();
  session.predict(sample);
  return performance.now() - start;
}

/**
 * Runs a float model and its converted form on the same data.
 *
 * @returns accuracy, agreement, signal-to-noise, latency (interleaved, in this process) and memory (in child processes)
 * @throws LowbitError 'io', 'invalid-model', 'invalid-weights', 'invalid-argument', 'cancelled'
 */
export async function compare(options: CompareOptions): Promise<CompareReport> {
  const { limit = Number.POSITIVE_INFINITY, latencyRuns = 50, memory = true, signal } = options;
  checkArgument(limit > 0, 'limit', 'a positive number', limit);
  const checkCancelled = () => {
    if (signal?.aborted) throw new LowbitError('cancelled', 'The comparison was cancelled.');
  };
  const backend = await importBackend();
  const report = await withBackend(backend, async () => {
    const float = await ModelSession.load(options.float);
    const lowbit = await ModelSession.load(options.lowbit);
    const tally = new Tally();
    let first: Sample | undefined;
    const { items, total } = await openItems(options, float.inputs);
    for await (const { sample, label } of items) {
      checkCancelled();
      first ??= sample;
      tally.add(float.predict(sample), lowbit.predict(sample), label);
      options.onProgress?.(tally.samples, total === undefined ? undefined : Math.min(total, limit));
      if (tally.samples >= limit) break;
    }
    if (first === undefined) throw new LowbitError('invalid-argument', 'There are no samples to compare on.');
    const times: { float: number[]; lowbit: number[] } = { float: [], lowbit: [] };
    for (let run = 0; run < latencyRuns; run++) {
      checkCancelled();
      times.float.push(timePrediction(float, first));
      times.lowbit.push(timePrediction(lowbit, first));
    }
    float.dispose();
    lowbit.dispose();
    const latency = { float: median(times.float), lowbit: median(times.lowbit) };
    const { isa, threads } = engineInfo();
    return {
      ...tally.report(),
      latency: {
        ...latency,
        speedup: latency.float / latency.lowbit,
        runs: latencyRuns,
        backend: `${backend} ${tf.version_core}`,
        isa,
        threads,
      },
    };
  });
  return {
    ...report,
    ...(memory && {
      memory: {
        float: await measureMemory(toPath(options.float), backend),
        lowbit: await measureMemory(toPath(options.lowbit), backend),
      },
    }),
    bytes: { float: await modelBytes(options.float), lowbit: await modelBytes(options.lowbit) },
  };
}
