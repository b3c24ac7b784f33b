/** Compares a converted model with its float original: accuracy, agreement, latency, memory. */
import * as tf from '@tensorflow/tfjs-core';
import { yieldToCancel } from '../base/cancelled';
import { fromUser, withCode } from '../base/coded-errors';
import { checkArgument, LowbitError } from '../base/errors';
import { median } from '../base/median';
import { listImages } from '../calibration/data/image-folder';
import { labelledImages } from '../calibration/data/labelled';
import type { Sample } from '../graph/ir';
import { modelBytes, toPath } from '../graph/model-files';
import type {
  ImageOptions,
  InputSpec,
  LabelledSample,
  LabelledSource,
  Output,
  SampleSource,
} from '../graph/samples';
import { unlabelled } from '../graph/samples';
import { ModelSession } from '../loading/session';
import { engineInfo } from '../runtime/current-engine';
import type { Engine } from '../runtime/engine';
import { importBackend, withBackend } from '../tfjs/backends';
import { type MemoryUse, measureMemory } from './memory';
import { Tally, type TallyReport } from './tally';

export interface CompareOptions {
  /** Path or file URL of the float model's model.json. */
  float: string;
  /** Path or file URL of the converted model's model.json. */
  lowbit: string;
  /** Folder of images to run; or `samples`; or `labelled`. */
  images?: string;
  samples?: SampleSource;
  /** Samples that bring the model's class, for example `labelledRecords(...)`. */
  labelled?: LabelledSource;
  imageOptions?: ImageOptions;
  /** Labels of the images: JSON, path relative to its own folder -> class index or `{index, name}`. */
  labels?: string;
  /** Added to a label's index to get the model's class: 1 where class 0 is a background class. Default 0. */
  labelOffset?: number;
  /** How many samples to run at most. Default: all. */
  limit?: number;
  /** Timed predictions of each model. Default 50. */
  latencyRuns?: number;
  /** Whether to measure memory, in child processes. Default true. */
  memory?: boolean;
  onProgress?(done: number, total: number | undefined): void;
  signal?: AbortSignal;
}

export interface CompareReport extends TallyReport {
  latency: {
    /** Median milliseconds of a prediction, input and output included, batch of one sample. */
    float: number;
    lowbit: number;
    speedup: number;
    runs: number;
    backend: string;
    engine: Engine['kind'];
    isa: string;
    threads: number;
  };
  memory?: { float: MemoryUse; lowbit: MemoryUse };
  /** Of model.json and shards. */
  bytes: { float: number; lowbit: number };
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
): Promise<{ items: AsyncIterable<LabelledSample>; total?: number }> {
  const { images, samples, labelled, imageOptions, labels, labelOffset } = options;
  const given = [images, samples, labelled].filter((data) => data !== undefined).length;
  checkArgument(given === 1, 'images', 'either images or samples', images);
  if (images !== undefined) {
    const total = (await listImages(images)).length;
    return { items: labelledImages(images, { imageOptions, labels, labelOffset })(inputs), total };
  }
  checkArgument(labels === undefined, 'labels', 'none where samples are given', labels);
  const source = labelled ?? unlabelled(samples!);
  return { items: fromUser(() => source(inputs), 'The data') };
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
    const results = { float: await float.predict(sample), lowbit: await lowbit.predict(sample) };
    checkSameOutputs(options, results);
    tally.add(results.float, results.lowbit, label);
    options.onProgress?.(tally.samples, total === undefined ? undefined : Math.min(total, limit));
    if (tally.samples >= limit) break;
  }
  if (first === undefined) throw new LowbitError('invalid-argument', 'There are no samples to compare on.');
  return { tally, first };
}

/** Milliseconds of one prediction, from input data to output data. */
async function timePrediction(session: ModelSession, sample: Sample): Promise<number> {
  const start = performance.now();
  await session.predict(sample);
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
    times.float.push(await timePrediction(float, sample));
    times.lowbit.push(await timePrediction(lowbit, sample));
  }
  const medians = { float: median(times.float), lowbit: median(times.lowbit) };
  return { ...medians, speedup: medians.float / medians.lowbit, runs };
}

async function compareModels(options: CompareOptions): Promise<CompareReport> {
  const { limit, latencyRuns = 50, memory = true, signal } = options;
  checkArgument(limit === undefined || limit > 0, 'limit', 'a positive number', limit);
  const countable = Number.isInteger(latencyRuns) && latencyRuns > 0;
  checkArgument(countable, 'latencyRuns', 'a positive integer', latencyRuns);
  const backend = await importBackend();
  const { first, figures } = await withBackend(backend, async () => {
    const float = await ModelSession.load(options.float);
    const lowbit = await ModelSession.load(options.lowbit);
    try {
      const { tally, first } = await runItems({ float, lowbit }, options);
      const latency = await timeInterleaved({ float, lowbit }, first, latencyRuns, signal);
      const { kind: engine, isa, threads } = engineInfo();
      return {
        first,
        figures: {
          ...tally.report(),
          latency: { ...latency, backend: `${backend} ${tf.version_core}`, engine, isa, threads },
        },
      };
    } finally {
      float.dispose();
      lowbit.dispose();
    }
  });
  const memoryOf = (location: string) => measureMemory(toPath(location), backend, { sample: first, signal });
  return {
    ...figures,
    ...(memory && {
      memory: { float: await memoryOf(options.float), lowbit: await memoryOf(options.lowbit) },
    }),
    bytes: { float: await modelBytes(options.float), lowbit: await modelBytes(options.lowbit) },
  };
}

/**
 * Runs a float model and its converted form on the same data.
 *
 * @returns accuracy, agreement, signal-to-noise, latency (interleaved, in this process) and memory (in child processes)
 * @throws LowbitError 'io', 'invalid-model', 'invalid-weights', 'invalid-argument', 'cancelled'
 */
export async function compare(options: CompareOptions): Promise<CompareReport> {
  return withCode(`Comparing ${options?.lowbit}`, () => compareModels(options));
}
