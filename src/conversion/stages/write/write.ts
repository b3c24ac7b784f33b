/** Stage 6: packs experts and writes the converted model, completely or not at all. */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { regionsOf } from '../../../evaluation/layer-tensors';
import type { Graph, TensorRef } from '../../../graph/ir';
import { constantBytes } from '../../../graph/weights';
import { writeGraphModel } from '../../../graph/write-graph-model';
import type { ConvertReport } from '../../report-types';
import type { Destination, Settings } from '../../settings';
import type { ConvertedModel, SourceModel } from '../../stage-results';
import { withPackedExperts } from './experts';

const NO_EXPERTS = 'The options for experts do nothing: the model has no mixture of experts.';

/** That a model is larger than what it was made from, and what takes the room. */
async function growthWarning(graph: Graph, folder: string, before: number, after: number): Promise<string> {
  const json = (await stat(join(folder, 'model.json'))).size;
  const regions = regionsOf(graph);
  const tables = [...graph.nodes.values()].filter(({ op }) => op === 'QuantizedGather');
  const bytesOf = (refs: readonly TensorRef[]) =>
    [...new Set(refs.map(({ node }) => node))].reduce(
      (sum, name) => sum + constantBytes(graph.constants.get(name)!),
      0,
    );
  // Of a region's inputs, the last two are the program and the weights.
  const programs = bytesOf(regions.map(({ inputs }) => inputs.at(-2)!));
  const weights = bytesOf([
    ...regions.map(({ inputs }) => inputs.at(-1)!),
    ...tables.flatMap(({ inputs }) => inputs.slice(1)),
  ]);
  const share = (bytes: number) => `${((100 * bytes) / after).toFixed(0)} %`;
  return (
    `The converted model has ${after} bytes, the float model ${before}: quantized weights with scales and biases ` +
    `take ${share(weights)}, programs ${share(programs)}, the graph and its metadata ${share(json)}, what stays float ` +
    `${share(Math.max(after - weights - programs - json, 0))}.`
  );
}

/** @throws LowbitError 'io' if the folder cannot be written; 'cancelled' on abort */
export async function write(
  converted: ConvertedModel,
  source: SourceModel,
  { folder, overwrite, experts }: Destination,
  { report, signal }: Pick<Settings, 'report' | 'signal'>,
): Promise<ConvertReport> {
  const packed = withPackedExperts(converted, experts, report);
  const { graph, ...result } = packed?.converted ?? converted;
  report('write', 0, 1);
  const after = await writeGraphModel(graph, folder, { overwrite, signal, writeExperts: packed?.write });
  const grown = after > source.bytes ? [await growthWarning(graph, folder, source.bytes, after)] : [];
  const idle = experts.requested && !packed ? [NO_EXPERTS] : [];
  return {
    output: resolve(folder),
    ...result,
    warnings: [...result.warnings, ...idle, ...grown],
    bytes: { before: source.bytes, after },
    ...(packed && { experts: packed.report() }),
  };
}
