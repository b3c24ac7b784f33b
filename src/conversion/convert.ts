/** Conversion of a float TF.js model into a quantized one: read -> optimize -> observe -> decide -> lower -> check -> write. */
import { withCode } from '../base/coded-errors';
import { checkOutputFolder } from '../graph/write-graph-model';
import { decideConversion } from './convert-graph';
import type { ConvertOptions } from './options/options';
import { settleConversion } from './options/settle-conversion';
import type { ConvertReport } from './report-types';
import { check } from './stages/check';
import { lower } from './stages/lower/lower';
import { read } from './stages/read';
import { write } from './stages/write/write';

async function convertFiles(options: ConvertOptions): Promise<ConvertReport> {
  const { input, destination, settings } = settleConversion(options);
  await checkOutputFolder(destination.folder, destination.overwrite);
  const source = await read(input, settings);
  const decision = await decideConversion(source.graph, settings);
  const converted = await check(lower(decision), source.graph, decision);
  return write(converted, source, destination, settings);
}

/**
 * Converts a float model, graph model or layers model, to INT8.
 *
 * @returns what was quantized, what stays float and why, and the sizes
 * @throws LowbitError 'invalid-argument' for a wrong option; 'io', 'invalid-model', 'invalid-weights' or
 *   'already-converted' for the input model; 'invalid-shape' or 'invalid-range' for calibration data that does not fit;
 *   'accuracy' for an accuracy target that cannot be met; 'cancelled' on abort; 'internal' for what else fails. The
 *   output folder is complete or untouched.
 *
 * @example
 * const report = await convert({
 *   input: 'mobilenet/model.json',
 *   output: 'mobilenet-int8',
 *   calibration: imageFolder('photos', { mean: 127.5, std: 127.5 }),
 * });
 */
export async function convert(options: ConvertOptions): Promise<ConvertReport> {
  return withCode(`Converting ${options?.input}`, () => convertFiles(options));
}
