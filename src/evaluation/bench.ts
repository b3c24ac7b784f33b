/** Times a converted model, and a float one beside it, interleaved in one run. */
import * as tf from '@tensorflow/tfjs-core';
import { yieldToCancel } from '../base/cancelled';
import { fromUser, withCode } from '../base/coded-errors';
import { checkArgument, LowbitError } from '../base/errors';
import { median } from '../base/median';
import type { Sample } from '../graph/ir';
import { type SampleSource, syntheticSample } from '../graph/samples';
import { ModelSession } from '../loading/session';
import { currentEngine, engineInfo, getThreads, setThreads } from '../runtime/current-engine';
import type { Engine } from '../runtime/engine';
import { onNativeRun } from '../runtime/run-timer';
import { importBackend, withBackend } from '../tfjs/backends';
import { type Profile, profilePredictions } from './profile';

export interface BenchOptions {
  /** Path or file URL of the converted model's model.json. */
  model: string;
  /** The same of a float model to time beside it. */
  float?: string;
  /** Numbers of threads to time with. Default: the current one. The float model always runs on one. */
  threads?: readonly number[];
  /** Timed predictions. Default 100. */
  runs?: number;
  /** Size of a dynamic batch dimension of made-up data. Default 1. */
  batch?: number;
  /** Data whose first sample is timed. Default: pseudo-random values, for a model whose inputs have a known size. */
  samples?: SampleSource;
  /** Whether to profile every layer as well. Default false. */
  profile?: boolean;
  onProgress?(progress: { stage: 'warm up' | 'time'; done: number; total: number }): void;
  signal?: AbortSignal;
}

/** Milliseconds. */
export interface Timing {
  median: number;
  min: number;
}

export interface BenchReport {
  results: {
    threads: number;
    /** A prediction: tensors in, data out. */
    model: Timing;
    /** Median of what a prediction spends outside native code: TF.js, our kernels' JavaScript, float ops left. */
    javascriptOverhead: number;
    float?: Timing;
    /** float.median / model.median */
    speedup?: number;
    profile?: Profile;
  }[];
  runs: number;
  batch: number;
  engine: Engine['kind'];
  isa: string;
  backend: string;
  versions: { node: string; tfjs: string };
}

/**
 * Untimed predictions first, of either model alike: V8 takes some hundred calls to compile what runs often, and a server's
 * steady state counts.
 */
const WARM_UP = 1000;
/** A slow model, whose JavaScript matters little, is warmed up no longer than this. */
const WARM_UP_MILLISECONDS = 10_000;

function timing(times: readonly number[]): Timing {
  return { median: median(times), min: Math.min(...times) };
}

/** The first of the user's samples, or made-up values. */
async function sampleFor(model: ModelSession, { samples, batch = 1 }: BenchOptions): Promise<Sample> {
  if (samples === undefined) return syntheticSample(model.inputs, batch);
  for await (const sample of fromUser(() => samples(model.inputs), 'The data')) return sample;
  throw new LowbitError('invalid-argument', 'There are no samples to time on.');
}

function batchOf({ inputs }: ModelSession, sample: Sample): number {
  const batched = inputs.find(({ name, shape }) => shape?.[0] === -1 && sample[name]);
  return batched ? sample[batched.name].shape[0] : 1;
}

/** One prediction on tensors that are there already, and the part of it spent in native code. */
async function timeOnce(
  session: ModelSession,
  feeds: tf.NamedTensorMap,
): Promise<{ total: number; native: number }> {
  let native = 0;
  onNativeRun((_, milliseconds) => {
    native += milliseconds;
  });
  const start = performance.now();
  await session.execute(feeds);
  const total = performance.now() - start;
  onNativeRun();
  return { total, native };
}

async function warmUp(
  session: ModelSession,
  feeds: tf.NamedTensorMap,
  { onProgress, signal }: BenchOptions,
): Promise<void> {
  const start = performance.now();
  for (let done = 0; done < WARM_UP && performance.now() - start < WARM_UP_MILLISECONDS; done++) {
    await yieldToCancel(signal);
    await session.execute(feeds);
    onProgress?.({ stage: 'warm up', done: done + 1, total: WARM_UP });
  }
}

/** Milliseconds of each run. */
interface Times {
  model: number[];
  overhead: number[];
  float: number[];
}

async function timeInterleaved(
  { model, float }: { model: ModelSession; float?: ModelSession },
  feeds: tf.NamedTensorMap,
  runs: number,
  { onProgress, signal }: BenchOptions,
): Promise<Times> {
  const times: Times = { model: [], overhead: [], float: [] };
  for (let run = 0; run < runs; run++) {
    await yieldToCancel(signal);
    const { total, native } = await timeOnce(model, feeds);
    times.model.push(total);
    times.overhead.push(total - native);
    if (float !== undefined) times.float.push((await timeOnce(float, feeds)).total);
    onProgress?.({ stage: 'time', done: run + 1, total: runs });
  }
  return times;
}

async function profile(
  model: ModelSession,
  feeds: tf.NamedTensorMap,
  runs: number,
  { batch = 1, signal }: BenchOptions,
): Promise<Profile> {
  const limits = currentEngine().measureLimits();
  return profilePredictions(() => model.execute(feeds), { runs, batch, limits, signal });
}

async function timeModels(options: BenchOptions): Promise<BenchReport> {
  const { runs = 100, batch = 1 } = options;
  checkArgument(Number.isInteger(runs) && runs > 0, 'runs', 'a positive integer', runs);
  checkArgument(Number.isInteger(batch) && batch > 0, 'batch', 'a positive integer', batch);
  const backend = await importBackend();
  return withBackend(backend, async () => {
    const model = await ModelSession.load(options.model);
    const float = options.float === undefined ? undefined : await ModelSession.load(options.float);
    const sample = await sampleFor(model, options);
    const samplesInBatch = options.samples ? batchOf(model, sample) : batch;
    const feeds = model.feed(sample);
    const userThreads = getThreads();
    const results: BenchReport['results'] = [];
    try {
      await warmUp(model, feeds, options);
      if (float !== undefined) await warmUp(float, feeds, options);
      for (const threads of options.threads ?? [userThreads]) {
        setThreads(threads);
        checkArgument(
          getThreads() === threads,
          'threads',
          `at most ${getThreads()} with this engine`,
          threads,
        );
        const times = await timeInterleaved({ model, float }, feeds, runs, options);
        results.push({
          threads,
          model: timing(times.model),
          javascriptOverhead: median(times.overhead),
          ...(float !== undefined && {
            float: timing(times.float),
            speedup: median(times.float) / median(times.model),
          }),
          ...(options.profile && {
            profile: await profile(model, feeds, runs, { ...options, batch: samplesInBatch }),
          }),
        });
      }
    } finally {
      setThreads(userThreads);
      tf.dispose(feeds);
      model.dispose();
      float?.dispose();
    }
    const { kind, isa } = engineInfo();
    return {
      results,
      runs,
      batch: samplesInBatch,
      engine: kind,
      isa,
      backend: `${backend} ${tf.version_core}`,
      versions: { node: process.version, tfjs: tf.version_core },
    };
  });
}

/**
 * @returns medians, per number of threads, on pseudo-random input or the data given
 * @throws LowbitError 'io', 'invalid-model', 'invalid-weights', 'invalid-argument', 'cancelled'
 */
export async function bench(options: BenchOptions): Promise<BenchReport> {
  return withCode(`Timing ${options?.model}`, () => timeModels(options));
}
