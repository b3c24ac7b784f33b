/** Codes of low-bit weights. */
import { yieldToCancel } from '../../../base/cancelled';
import { type LayerInput, measureHessians } from '../../../calibration/hessians';
import { type LinearOp, weightsPerChannel } from '../../../passes/linear-op';
import { type EncodedLayer, encodeLayer, statisticsOf } from '../../../passes/quantize/lower/encode-layer';
import { windowOf } from '../../../passes/quantize/lower/window';
import { encodeTable } from '../../../passes/weight-only/store-rows';
import type { FormatName } from '../../../quantization/formats/format';
import type { Rotation } from '../../../quantization/hadamard';
import type { Observations } from '../../../quantization/observations';
import type { Settings } from '../../settings';
import type { WeightPlan } from '../../stage-results';

/** What a convolution or a matrix product multiplies its weights by. */
export function layerInput(op: LinearOp, rotation: Rotation | undefined): LayerInput {
  const window = op.kind === 'conv' ? windowOf(op.node, [op.filter.shape[0], op.filter.shape[1]]) : undefined;
  return {
    name: op.node.name,
    ref: op.input,
    depth: weightsPerChannel(op),
    ...(rotation && { rotation }),
    ...(typeof window === 'object' && { window }),
  };
}

/** Encodes the weights of all low-bit layers of a plan, each for the least error of its outputs. */
export async function encodeWeights(
  { graph, plan, layers, tables, rotations }: WeightPlan,
  observations: Observations,
  {
    data,
    samples,
    errorFeedback,
    report,
    signal,
  }: Pick<Settings, 'data' | 'samples' | 'errorFeedback' | 'report' | 'signal'>,
): Promise<ReadonlyMap<string, EncodedLayer>> {
  const onProgress = (done: number, total: number) => report('encode weights', done, total);
  const encoded = new Map<string, EncodedLayer>();
  for (const [name, { format, group }] of tables)
    encoded.set(name, encodeTable(plan.tables.get(name)!, { format: format as FormatName, group }));
  const encode = (name: string, hessian?: Float32Array) => {
    const { op, weights } = layers.get(name)!;
    const rotation = rotations.get(name);
    const format = { format: weights.format as FormatName, group: weights.group, rotation };
    encoded.set(name, encodeLayer(op, format, { ...statisticsOf(op, rotation, observations), hessian }));
  };
  if (errorFeedback) {
    const inputs = [...layers].map(([name, { op }]) => layerInput(op, rotations.get(name)));
    await measureHessians(graph, inputs, data!, { samples, signal, onProgress }, encode);
    return encoded;
  }
  for (const name of layers.keys()) {
    await yieldToCancel(signal);
    encode(name);
    onProgress(encoded.size - tables.size, layers.size);
  }
  return encoded;
}
