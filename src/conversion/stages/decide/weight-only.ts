/** The strategy of float32 activations: codes of low-bit weights; everything else follows from the plan. */
import { yieldToCancel } from '../../../base/cancelled';
import { measureHessians } from '../../../calibration/hessians';
import { weightsPerChannel } from '../../../passes/linear-op';
import { type EncodedLayer, encodeLayer, statisticsOf } from '../../../passes/quantize/lower/encode-layer';
import { encodeTable } from '../../../passes/weight-only/store-rows';
import type { FormatName } from '../../../quantization/formats/format';
import type { Settings } from '../../settings';
import type { ObservedWeightOnly, WeightOnlyDecision, WeightOnlyLayer } from '../../stage-results';

/** @param hessian second moments of the input, for error feedback */
function encode(
  { weighted, configured, rotation }: WeightOnlyLayer,
  observations: ObservedWeightOnly['observations'],
  hessian?: Float32Array,
): EncodedLayer {
  const { group } = configured;
  const format = { format: configured.format as FormatName, group, ...(rotation && { rotation }) };
  if (weighted.kind === 'table') return encodeTable(weighted, format);
  const statistics = observations && statisticsOf(weighted.op, rotation, observations);
  return encodeLayer(weighted.op, format, { ...statistics, hessian });
}

async function encodeAll(
  { model, observations }: ObservedWeightOnly,
  { data, samples, errorFeedback, report, signal }: Settings,
): Promise<Map<string, EncodedLayer>> {
  const { graph, layers, inside } = model;
  const encoded = new Map<string, EncodedLayer>();
  const lowBit = [...layers].filter(([, { configured }]) => configured.format !== 'int8');
  const add = (name: string, hessian?: Float32Array) => {
    encoded.set(name, encode(layers.get(name)!, observations, hessian));
    report('encode weights', encoded.size, lowBit.length);
  };
  const inputs = lowBit.flatMap(([name, { weighted, rotation }]) => {
    if (!errorFeedback || !data || weighted.kind === 'table' || inside.has(name)) return [];
    const { op } = weighted;
    return [{ name, ref: op.input, depth: weightsPerChannel(op), ...(rotation && { rotation }) }];
  });
  if (inputs.length > 0) await measureHessians(graph, inputs, data!, { samples, signal }, add);
  const fedBack = new Set(inputs.map(({ name }) => name));
  for (const [name] of lowBit) {
    await yieldToCancel(signal);
    if (!fedBack.has(name)) add(name);
  }
  return encoded;
}

export async function decideWeightOnly(
  observed: ObservedWeightOnly,
  settings: Settings,
): Promise<WeightOnlyDecision> {
  const { model, provenance, checkSamples } = observed;
  return {
    activations: 'float32',
    settings,
    model,
    provenance,
    checkSamples,
    lowBit: await encodeAll(observed, settings),
  };
}
