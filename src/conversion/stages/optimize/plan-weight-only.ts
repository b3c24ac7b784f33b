/** The plan of a model with float32 activations: which products and tables have their weights quantized. */
import { LowbitError } from '../../../base/errors';
import { inferShapes, type Shapes } from '../../../graph/infer-shapes';
import type { Graph } from '../../../graph/ir';
import { mixturesOf } from '../../../graph/mixture';
import { weightCount } from '../../../passes/linear-op';
import type { PassResult } from '../../../passes/pass';
import { rotationHelps } from '../../../passes/quantize/lower/encode-layer';
import { nodesInControlFlow } from '../../../passes/quantize/plan/control-flow';
import { nodesOfInfiniteWeights } from '../../../passes/quantize/plan/infinite-weights';
import { endsOf } from '../../../passes/quantize/plan/low-bit-layers';
import { findWeighted, type Weighted, weightsOf as weightsOfLayer } from '../../../passes/weight-only/find';
import type { Rotation } from '../../../quantization/hadamard';
import { type ConfiguredWeights, floatNodes, type Settings, weightsOf } from '../../settings';
import type { WeightOnlyLayer, WeightOnlyModel } from '../../stage-results';
import { ROTATION_SEED } from './rotation-seed';

/** A program of its own is not worth it for fewer weights, unless a pattern names the layer. */
const MIN_WEIGHTS = 4096;

/** A rotation of the input, where one is configured and lowers the error of low-bit weights. */
function rotationOf(weighted: Weighted, { format, group, block }: ConfiguredWeights): Rotation | undefined {
  if (block === 0 || weighted.kind === 'table' || format === 'int8') return undefined;
  const rotation = { block, seed: ROTATION_SEED };
  return rotationHelps(weighted.op, { format, group, rotation }) ? rotation : undefined;
}

/** First and last layers stay in INT8 unless a pattern names them. */
function storage(
  weighted: Weighted,
  configured: ConfiguredWeights,
  end: 'first' | 'last' | undefined,
): WeightOnlyLayer {
  if (end !== undefined && configured.format !== 'int8' && !configured.byPattern)
    return { weighted, configured: { ...configured, format: 'int8' }, reason: `it is the ${end} layer` };
  const rotation = rotationOf(weighted, configured);
  return { weighted, configured, ...(rotation && { rotation }) };
}

function select(graph: Graph, shapes: Shapes, settings: Settings) {
  const found = findWeighted(graph, shapes);
  const skipped = new Map([...nodesOfInfiniteWeights(graph), ...floatNodes(settings, graph)]);
  const layers = new Map<string, WeightOnlyLayer>();
  const float = new Map<string, string>();
  const suitable = [...found].flatMap(([name, weighted]) => (typeof weighted === 'string' ? [] : [name]));
  const { first, last } = endsOf(graph, new Set(suitable));
  for (const [name, weighted] of found) {
    const configured = weightsOf(settings, name);
    const reason = skipped.get(name) ?? (typeof weighted === 'string' ? weighted : undefined);
    if (reason !== undefined || typeof weighted === 'string') {
      float.set(name, reason!);
      continue;
    }
    const count = weightCount(weightsOfLayer(weighted));
    if (count < MIN_WEIGHTS && !configured.byPattern) {
      float.set(name, `it has only ${count} weights`);
      continue;
    }
    const end = first.has(name) ? 'first' : last.has(name) ? 'last' : undefined;
    layers.set(name, storage(weighted, configured, end));
  }
  return { layers, float };
}

export function planWeightOnly({ graph, changes }: PassResult, settings: Settings): WeightOnlyModel {
  const shapes = inferShapes(graph);
  const { layers, float } = select(graph, shapes, settings);
  if (layers.size === 0 && mixturesOf(graph).length === 0) {
    const reasons = [...new Set(float.values())].slice(0, 5).join('; ');
    throw new LowbitError(
      'invalid-model',
      `No weights in this model can be quantized: ${reasons || 'it has none'}.`,
    );
  }
  return { activations: 'float32', graph, changes, shapes, layers, float, inside: nodesInControlFlow(graph) };
}
