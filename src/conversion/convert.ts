/** Conversion of a float TF.js model into a quantized one: read -> optimize -> observe -> decide -> lower -> write. */
import type { Graph } from '../graph/ir';
import type { SampleSource } from '../graph/samples';
import { checkOutputFolder } from '../graph/write-graph-model';
import type { ConvertOptions, QuantizationOptions } from './options/options';
import { settle, settleConversion } from './options/settle';
import type { ConvertReport } from './report-types';
import type { Settings } from './settings';
import type { ConvertedModel, Decision, ObservedModel } from './stage-results';
import { decide } from './stages/decide/decide';
import { lower } from './stages/lower/lower';
import { observe } from './stages/observe';
import { optimize } from './stages/optimize/optimize';
import { read } from './stages/read';
import { write } from './stages/write/write';

async function prepare(source: Graph, settings: Settings): Promise<ObservedModel> {
  const optimized = await optimize(source, settings);
  return observe(optimized, settings);
}

/** All that is decided about a float graph, nothing of which is carried out yet. */
export async function decideConversion(source: Graph, settings: Settings): Promise<Decision> {
  const observed = await prepare(source, settings);
  return decide(observed, settings, (others) => prepare(source, others));
}

/**
 * Converts a float graph in memory.
 *
 * @throws LowbitError as `convert`
 */
export async function convertGraph(
  source: Graph,
  calibration: SampleSource | 'random' | undefined,
  options: QuantizationOptions,
): Promise<ConvertedModel> {
  const settings = settle(options, calibration);
  const decision = await decideConversion(source, settings);
  return lower(decision);
}

/**
 * Converts a float model, graph model or layers model, to INT8.
 *
 * @returns what was quantized, what stays float and why, and the sizes
 * @throws LowbitError 'invalid-argument' for a wrong option; 'io', 'invalid-model', 'invalid-weights' or
 *   'already-converted' for the input model; 'invalid-shape' or 'invalid-range' for calibration data that does not fit;
 *   'accuracy' for an accuracy target that cannot be met; 'cancelled' on abort. The output folder is complete or
 *   untouched.
 *
 * @example
 * const report = await convert({
 *   input: 'mobilenet/model.json',
 *   output: 'mobilenet-int8',
 *   calibration: imageFolder('photos', { mean: 127.5, std: 127.5 }),
 * });
 */
export async function convert(options: ConvertOptions): Promise<ConvertReport> {
  const { input, destination, settings } = settleConversion(options);
  await checkOutputFolder(destination.folder, destination.overwrite);
  const source = await read(input, settings);
  const decision = await decideConversion(source.graph, settings);
  const converted = lower(decision);
  return write(converted, source, destination, settings);
}
