/** An estimate of what a conversion would give, without writing a model. */
import * as tf from '@tensorflow/tfjs-core';
import { yieldToCancel } from '../base/cancelled';
import { withCode } from '../base/coded-errors';
import { LowbitError } from '../base/errors';
import { median } from '../base/median';
import { withHeldRegions } from '../evaluation/held-regions';
import { type LayerSensitivity, measureSensitivity } from '../evaluation/sensitivity';
import type { Graph, Sample } from '../graph/ir';
import type { SampleSource } from '../graph/samples';
import type { ActivationPrecision } from '../passes/quantize/match/quantizable';
import { engineInfo } from '../runtime/current-engine';
import type { Engine } from '../runtime/engine';
import { importBackend, withBackend } from '../tfjs/backends';
import { LoadedGraph } from '../tfjs/loaded-graph';
import { decideConversion } from './convert-graph';
import type { DryRunOptions } from './options/options';
import { settleDryRun } from './options/settle-conversion';
import type { AccuracyReport, MacCounts, NodeRecord } from './report-types';
import type { Int8Decision } from './stage-results';
import { lower } from './stages/lower/lower';
import { read } from './stages/read';
import { packedModelBytes } from './stages/write/experts';

/** Timed predictions of either model. */
const RUNS = 10;

export interface DryRunLayer extends LayerSensitivity {
  /**
   * The lowest signal-to-noise at an output, in dB, to be expected of the model with this layer and those before it in
   * int16 and the others in INT8.
   */
  readonly predictedWithInt16: number;
}

export interface DryRunReport {
  /** Model files on disk. */
  readonly bytes: { readonly before: number; readonly after: number };
  readonly macs: MacCounts;
  /** How many nodes would run in INT8. */
  readonly quantized: number;
  readonly float: readonly NodeRecord[];
  /** Median milliseconds of a prediction for one sample, models interleaved in this process. */
  readonly latency: {
    readonly float: number;
    readonly lowbit: number;
    readonly speedup: number;
    readonly runs: number;
    readonly backend: string;
    readonly engine: Engine['kind'];
    readonly isa: string;
    readonly threads: number;
  };
  /** Each layer in INT8 alone, worst first; absent for random data. */
  readonly layers?: readonly DryRunLayer[];
  /** Layers that would get int16 or dynamic activations, by name. */
  readonly activationPrecisions: Readonly<Record<string, ActivationPrecision>>;
  /** With an accuracy target: how it would be met. */
  readonly accuracy?: AccuracyReport;
  readonly warnings: readonly string[];
}

/** The noise of layers adds up; that of int16 is too small to count. */
function withPrediction(layers: readonly LayerSensitivity[]): DryRunLayer[] {
  let noise = 0;
  return layers
    .toReversed()
    .map((layer) => {
      const predictedWithInt16 = -10 * Math.log10(noise);
      noise += 10 ** (-layer.signalToNoise / 10);
      return { ...layer, predictedWithInt16 };
    })
    .toReversed();
}

async function firstSample(source: SampleSource, graph: Graph): Promise<Sample> {
  for await (const sample of source(graph.inputs)) return sample;
  throw new LowbitError('invalid-argument', 'The calibration data is empty; give at least one sample.');
}

async function timePrediction(model: LoadedGraph, graph: Graph, sample: Sample): Promise<number> {
  const start = performance.now();
  const feeds = model.feed(sample);
  const results = await model.execute(
    feeds,
    graph.outputs.map(({ ref }) => ref),
  );
  for (const result of results) result.dataSync();
  const time = performance.now() - start;
  tf.dispose([...results, ...Object.values(feeds)]);
  return time;
}

/** Times a graph and its converted form, neither of which was written. */
async function timeGraphs(
  graphs: { float: Graph; lowbit: Graph },
  sample: Sample,
  signal: AbortSignal | undefined,
): Promise<DryRunReport['latency']> {
  const backend = await importBackend();
  const time = async (held: Graph): Promise<DryRunReport['latency']> => {
    const float = await LoadedGraph.load(graphs.float);
    const lowbit = await LoadedGraph.load(held);
    const times: { float: number[]; lowbit: number[] } = { float: [], lowbit: [] };
    try {
      // The first run of either compiles what it needs.
      for (let run = -1; run < RUNS; run++) {
        await yieldToCancel(signal);
        const both = {
          float: await timePrediction(float, graphs.float, sample),
          lowbit: await timePrediction(lowbit, graphs.lowbit, sample),
        };
        if (run < 0) continue;
        times.float.push(both.float);
        times.lowbit.push(both.lowbit);
      }
    } finally {
      float.dispose();
      lowbit.dispose();
    }
    const medians = { float: median(times.float), lowbit: median(times.lowbit) };
    const { kind: engine, isa, threads } = engineInfo();
    return {
      ...medians,
      speedup: medians.float / medians.lowbit,
      runs: RUNS,
      backend: `${backend} ${tf.version_core}`,
      engine,
      isa,
      threads,
    };
  };
  return withBackend(backend, () => withHeldRegions(graphs.lowbit, time));
}

/** Each layer in INT8 alone, measured on the first validation samples. */
async function measureLayers(decision: Int8Decision): Promise<DryRunLayer[]> {
  const { model, observations, weights, settings } = decision;
  const { validation, report, signal } = settings;
  const { layers } = await measureSensitivity(model.graph, model.plan, observations, validation!, {
    weights,
    signal,
    onProgress: (done, total) => report('measure layers', done, total),
  });
  return withPrediction(layers);
}

async function estimate(options: DryRunOptions): Promise<DryRunReport> {
  const { input, experts, settings } = settleDryRun(options);
  const source = await read(input, settings);
  const decision = (await decideConversion(source.graph, settings)) as Int8Decision;
  const { graph: lowbit, macs, quantized, float, warnings } = lower(decision);
  const { graph } = decision.model;
  const sample = await firstSample(settings.data!, graph);
  const latency = await timeGraphs({ float: source.graph, lowbit }, sample, settings.signal);
  const layers = settings.randomData ? undefined : await measureLayers(decision);
  return {
    bytes: { before: source.bytes, after: packedModelBytes(lowbit, experts) },
    macs,
    quantized: quantized.length,
    float,
    latency,
    ...(layers && { layers }),
    activationPrecisions: Object.fromEntries(decision.precisions),
    ...(decision.accuracy && { accuracy: decision.accuracy }),
    warnings,
  };
}

/**
 * Estimates the result of `convert`: the size of the model, its speed, and what each layer costs when it alone is in
 * INT8. Nothing is written.
 *
 * @throws LowbitError as `convert`
 */
export async function dryRun(options: DryRunOptions): Promise<DryRunReport> {
  return withCode(`Estimating ${options?.input}`, () => estimate(options));
}
