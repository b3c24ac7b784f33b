/** The report on a converted model: what it gains, what each layer costs, and where its numbers come from. */

import { basename, dirname } from 'node:path';
import { withCode } from '../base/coded-errors';
import { LowbitError } from '../base/errors';
import { calibrate } from '../calibration/runner';
import type { QuantizationReport } from '../conversion/report-types';
import type { CompareReport } from '../evaluation/compare';
import { type LayerError, layerErrors } from '../evaluation/layer-error';
import { regionsOf } from '../evaluation/layer-tensors';
import { type LayerTime, layerTimes } from '../evaluation/layer-time';
import { countProducts, type Product, type ProductCounts, productsOf } from '../evaluation/products';
import { type LayerSensitivity, measureSensitivity } from '../evaluation/sensitivity';
import { type ArtefactMetadata, artefactMetadata } from '../graph/artefact';
import { output } from '../graph/edit';
import { inferShapes } from '../graph/infer-shapes';
import type { Graph, Sample } from '../graph/ir';
import { toPath } from '../graph/model-files';
import { readModel } from '../graph/read-model';
import type { SampleSource } from '../graph/samples';
import { unlabelled } from '../graph/samples';
import { groupCopies } from '../graph/turns';
import { graphWithExperts } from '../moe/model-experts';
import { optimize } from '../passes/pipeline';
import { layersOf } from '../passes/quantize/plan/layers';
import { observedTensors } from '../passes/quantize/plan/observed-tensors';
import { planQuantization } from '../passes/quantize/plan/plan';
import { importBackend, withBackend } from '../tfjs/backends';
import type { RecoveryEffect } from './recovery';

/** Raised when a field changes its meaning or goes; new fields may come without. */
export const REPORT_FORMAT_VERSION = 1;

export interface ReportLayer extends LayerError {
  /** Milliseconds in the float model and in the converted one; absent where nothing was timed. */
  readonly milliseconds?: LayerTime;
  /** What it costs when it is quantized alone, in a loop in one turn; absent where that was not measured, as in an equalized model. */
  readonly sensitivity?: LayerSensitivity;
}

/** What a conversion decided beyond its model. */
export interface ReportConversion {
  /** As `lowbit.json` has it, without its layers. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly warnings: readonly string[];
}

/**
 * What `--report report.json` holds and `report.html` shows. All of it but times and memory is the same for the same
 * models and samples. A signal-to-noise without noise is written as the string `Infinity`.
 */
export interface Report {
  readonly format: 'tfjs-lowbit report';
  readonly formatVersion: number;
  readonly toolVersion: string;
  /** Folder name of the float model. */
  readonly model: string;
  readonly scheme: string;
  /** Size, speed, memory, accuracy and agreement of both models as wholes. */
  readonly comparison: CompareReport;
  /** Multiply-accumulates for one sample, of weights and of two activations. */
  readonly macs: ProductCounts & { readonly total: number; readonly int8: number; readonly percent: number };
  /** Where the scales come from, as recorded in the artefact. */
  readonly calibration: Readonly<Record<string, unknown>>;
  /** Settings and warnings, where the report was made with the conversion. */
  readonly conversion?: ReportConversion;
  /** What each way to recover accuracy was worth, where the report was made with the conversion. */
  readonly recovery?: readonly RecoveryEffect[];
  /** Layers compute their channels at other scales than the float model does; they are compared at theirs. */
  readonly equalized?: true;
  /** In the order of execution. */
  readonly layers: readonly ReportLayer[];
  /** Samples that the layers were compared on. */
  readonly layerSamples: number;
  /** Milliseconds between float and INT8: quantizing what regions read, dequantizing what they give. */
  readonly borderMilliseconds?: number;
  /** Nodes that stay float, and why. */
  readonly float: readonly { readonly name: string; readonly op: string; readonly reason: string }[];
}

export interface ReportOptions {
  /** Path or file URL of the float model's model.json. */
  float: string;
  /** Path or file URL of the converted model's model.json. */
  lowbit: string;
  /** Data to compare the layers on. */
  samples: SampleSource;
  /** How the models compare as wholes. */
  comparison: CompareReport;
  /** The report of the conversion. */
  conversion?: QuantizationReport;
  /** What the conversion's ways to recover accuracy gained. */
  recovery?: readonly RecoveryEffect[];
  /** How many samples to compare the layers on. Default 8. */
  layerSamples?: number;
  /** Timed runs of each layer; 0: none. Default 10. */
  timedRuns?: number;
  /** Samples to measure on what each layer costs when it is quantized alone; 0: none. Default 2. */
  sensitivitySamples?: number;
  onProgress?(done: number, total: number): void;
  signal?: AbortSignal;
}

/** @throws LowbitError 'invalid-model' for a graph whose layers cannot be seen */
function checkComparable(converted: Graph, location: string): void {
  if (regionsOf(converted).length > 0) return;
  throw new LowbitError(
    'invalid-model',
    `${location} has a node for every op; convert it with regions to see its layers.`,
  );
}

async function firstOf(samples: AsyncIterable<Sample>): Promise<Sample> {
  for await (const sample of samples) return sample;
  throw new LowbitError('invalid-argument', 'There are no samples to compare the layers on.');
}

/** All products of the float graph, and those of nodes that the artefact does not leave in float. */
function macsOf(float: Graph, { layers }: ArtefactMetadata): Report['macs'] {
  const shapes = inferShapes(float);
  const left = layers.filter(({ precision }) => precision === 'float32');
  const reasons = new Map(left.map(({ name, reason = '' }) => [name, reason]));
  const sum = (products: readonly Product[]) => products.reduce((total, { macs }) => total + macs, 0);
  const products = productsOf(float, shapes);
  const total = sum(products);
  const int8 = sum(products.filter(({ name }) => !reasons.has(name)));
  return {
    total,
    int8,
    percent: total === 0 ? 0 : (100 * int8) / total,
    ...countProducts(float, shapes, reasons),
  };
}

/**
 * What each layer costs alone, at the outputs of the model. Ranges are those of the samples: the artefact does not hold
 * the observations that it was made from.
 */
async function sensitivityOf(
  float: Graph,
  { layers }: ArtefactMetadata,
  samples: SampleSource,
  options: { samples: number; signal?: AbortSignal },
): Promise<Map<string, LayerSensitivity>> {
  const left = layers.filter(({ precision }) => precision === 'float32');
  const plan = planQuantization(float, {
    float: new Map(left.map(({ name, reason = '' }) => [name, reason])),
  });
  const observations = await calibrate(float, observedTensors(plan), samples, {
    method: 'minmax',
    ...options,
  });
  // Low-bit codes are the artefact's alone: what the layer costs in INT8 would say nothing of them.
  const lowBit = layers.filter(({ weights = 'int8' }) => weights !== 'int8').map(({ name }) => name);
  const measurable = layersOf(float, plan)
    .map(({ name }) => name)
    .filter((name) => !lowBit.includes(name));
  // One turn of a loop stands for all.
  const copies = groupCopies(float, measurable, (name) => output(name));
  const measured = await measureSensitivity(float, plan, observations, unlabelled(samples), {
    ...options,
    only: new Set(copies.keys()),
  });
  return new Map(
    measured.layers.flatMap((layer) => copies.get(layer.name)!.map((name) => [name, { ...layer, name }])),
  );
}

function conversionOf({ config, warnings }: QuantizationReport): ReportConversion {
  const { layers: _, skip: __, ...settings } = config;
  return { settings, warnings };
}

async function reportOn(options: ReportOptions): Promise<Report> {
  const { samples, comparison, conversion, layerSamples = 8, timedRuns = 10, signal } = options;
  const { sensitivitySamples = 2 } = options;
  const { graph: float } = optimize(await readModel(options.float));
  const converted = await readModel(options.lowbit, { converted: true });
  const metadata = artefactMetadata(converted, options.lowbit);
  checkComparable(converted, options.lowbit);
  const { equalized = false } = metadata;
  let seen = 0;
  const onProgress = (done: number) => {
    seen = done;
    options.onProgress?.(done, layerSamples);
  };
  const experts = await graphWithExperts(converted, dirname(toPath(options.lowbit)));
  const { layers, times } = await withBackend(await importBackend(), async () => ({
    layers: await layerErrors(float, experts.graph, samples(float.inputs), {
      equalized,
      samples: layerSamples,
      signal,
      onProgress,
    }),
    times:
      timedRuns > 0
        ? await layerTimes(float, experts.graph, await firstOf(samples(float.inputs)), {
            runs: timedRuns,
            signal,
          })
        : undefined,
  })).finally(experts.close);
  const sensitivity =
    sensitivitySamples > 0 && !equalized && metadata.layers.some(({ precision }) => precision !== 'float32')
      ? await sensitivityOf(float, metadata, samples, { samples: sensitivitySamples, signal })
      : undefined;
  return {
    format: 'tfjs-lowbit report',
    formatVersion: REPORT_FORMAT_VERSION,
    toolVersion: metadata.toolVersion,
    model: basename(dirname(toPath(options.float))),
    scheme: metadata.scheme,
    comparison,
    macs: macsOf(float, metadata),
    calibration: metadata.calibration,
    ...(conversion && { conversion: conversionOf(conversion) }),
    ...(options.recovery && { recovery: options.recovery }),
    ...(equalized && { equalized }),
    layers: layers.map((layer) => {
      const milliseconds = times?.layers.get(layer.name);
      const alone = sensitivity?.get(layer.name);
      return { ...layer, ...(milliseconds && { milliseconds }), ...(alone && { sensitivity: alone }) };
    }),
    layerSamples: seen,
    ...(times && { borderMilliseconds: times.borders }),
    float: metadata.layers
      .filter(({ precision }) => precision === 'float32')
      .map(({ name, op, reason = '' }) => ({ name, op, reason })),
  };
}

/**
 * Runs a float model and its converted form layer by layer.
 *
 * @throws LowbitError 'io', 'invalid-model', 'invalid-weights', 'invalid-argument', 'cancelled'
 */
export async function makeReport(options: ReportOptions): Promise<Report> {
  return withCode(`Reporting on ${options?.lowbit}`, () => reportOn(options));
}
