/** What a conversion would give, without writing a model. */
import * as tf from '@tensorflow/tfjs-core';
import { yieldToCancel } from '../base/cancelled';
import { checkArgument, LowbitError } from '../base/errors';
import { median } from '../base/median';
import { unlabelled } from '../calibration/data/labelled';
import { randomSamples } from '../calibration/data/random';
import { type LayerSensitivity, measureSensitivity } from '../evaluation/sensitivity';
import type { Graph, Sample } from '../graph/ir';
import { modelBytes } from '../graph/read-graph-model';
import { readModel } from '../graph/read-model';
import type { SampleSource } from '../graph/samples';
import type { ActivationPrecision } from '../passes/quantize/match/quantizable';
import { quantizeGraph } from '../passes/quantize/quantize-graph';
import { engineInfo } from '../runtime/current-engine';
import { importBackend, withBackend } from '../tfjs/backends';
import { LoadedGraph } from '../tfjs/loaded-graph';
import type { AccuracyReport } from './accuracy-control';
import { Settings } from './config/settings';
import type { NodeRecord, QuantizationReport } from './convert';
import {
  checkQuantizationOptions,
  decide,
  macsOf,
  nodeRecords,
  type QuantizationOptions,
  withMetadata,
} from './convert';
import { type ExpertPackOptions, packedModelBytes } from './experts';
import { weightRecords } from './weights';

/** Timed predictions of either model. */
const RUNS = 10;

export interface DryRunOptions extends QuantizationOptions {
  /** Path or file URL of the float model's model.json. */
  input: string;
  /** Representative samples, as for `convert`; the first ones also measure the layers. */
  calibration: SampleSource | 'random';
  /** As for `convert`. */
  experts?: ExpertPackOptions;
}

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
  readonly macs: QuantizationReport['macs'];
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
    readonly isa: string;
    readonly threads: number;
  };
  /** Each layer in INT8 alone, worst first; absent for random data. */
  readonly layers?: readonly DryRunLayer[];
  /** Layers that would get int16 or dynamic activations, by name. */
  readonly real: Readonly<Record<string, ActivationPrecision>>;
  /** With a bar on accuracy: how it would be met. */
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
  return withBackend(backend, async () => {
    const float = await LoadedGraph.load(graphs.float);
    const lowbit = await LoadedGraph.load(graphs.lowbit);
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
    const { isa, threads } = engineInfo();
    return {
      ...medians,
      speedup: medians.float / medians.lowbit,
      runs: RUNS,
      backend: `${backend} ${tf.version_core}`,
      isa,
      threads,
    };
  });
}

/**
 * Tells what `convert` would give: the size of the model, its speed, and what each layer costs when it alone is in INT8.
 * Nothing is written.
 *
 * @throws LowbitError as `convert`
 */
export async function dryRun(options: DryRunOptions): Promise<DryRunReport> {
  checkQuantizationOptions(options);
  const { calibration, signal, onProgress } = options;
  const settings = new Settings(options);
  const int8 = settings.activations === 'int8';
  checkArgument(int8, 'activations', 'int8, as a dry run measures layers in INT8,', settings.activations);
  checkArgument(!options.tune, 'tune', 'false, as a dry run measures what it is told,', options.tune);
  const data = calibration === 'random' ? randomSamples() : calibration;
  const source = await readModel(options.input);
  const decided = await decide(source, data, settings, options);
  const { weightPlan, weights, observations, plan, precisions, accuracy, provenance } = decided;
  const { graph } = weightPlan;
  const quantized = quantizeGraph(graph, plan, observations, weights);
  const final = { ...weightPlan, plan };
  const records = nodeRecords(final, quantized.weightFidelity, weightRecords(final, weights.lowBit));
  const lowbit = withMetadata(quantized.graph, records, provenance, { equalized: settings.equalize });
  const latency = await timeGraphs({ float: source, lowbit }, await firstSample(data, graph), signal);
  const sensitivity =
    calibration === 'random'
      ? undefined
      : await measureSensitivity(
          graph,
          weightPlan.plan,
          observations,
          options.validation ?? unlabelled(data),
          {
            weights,
            signal,
            onProgress: (done, total) => onProgress?.({ stage: 'measure layers', done, total }),
          },
        );
  return {
    bytes: { before: await modelBytes(options.input), after: packedModelBytes(lowbit, options.experts) },
    macs: macsOf(graph, plan),
    quantized: records.quantized.length,
    float: records.float,
    latency,
    ...(sensitivity && { layers: withPrediction(sensitivity.layers) }),
    real: Object.fromEntries(precisions),
    ...(accuracy && { accuracy }),
    warnings: settings.warnings(graph),
  };
}
