/**
 * Products and tables with their weights quantized, everything else in float.
 *
 * A product becomes the node of a program of one op, behind a rotation of its input where there is one; a table becomes a
 * QuantizedGather. Each keeps its name, so that its readers stay as they are.
 */
import { GraphEditor } from '../../graph/edit';
import type { Graph } from '../../graph/ir';
import {
  type Op,
  OpKind,
  type Program,
  type TensorSpec,
  TensorType,
  WeightsBuilder,
} from '../../program/program';
import { activationBounds, weightsPerChannel } from '../linear-op';
import { setRegionNode } from '../quantize/emit/region-node';
import type { EncodedLayer } from '../quantize/lower/encode-layer';
import { removeDeadNodes } from '../remove-dead-nodes';
import type { Product, Weighted } from './find';
import { type PlacedProgram, replaceTables } from './replace-tables';
import { rowsOf, storeRows } from './store-rows';

const floats = (shape: readonly number[]): TensorSpec => ({
  type: TensorType.Float32,
  shape,
  scale: 1,
  zeroPoint: 0,
});

interface Lowered {
  readonly program: Program;
  readonly weights: WeightsBuilder;
  readonly signalToNoise: number;
}

function lowerProduct(product: Product, encoded: EncodedLayer | undefined): Lowered {
  const { node, op, inputShape } = product;
  const weights = new WeightsBuilder();
  const { filter, signalToNoise } = storeRows(rowsOf(product), encoded, weights, op.bias);
  const inFeatures = weightsPerChannel(op);
  const tensors = [floats(inputShape)];
  const ops: Op[] = [];
  if (encoded?.rotation) {
    const rotation = { depth: inFeatures, ...encoded.rotation };
    ops.push({ kind: OpKind.Rotate, name: node.name, inputs: [0], output: tensors.length, rotation });
    tensors.push(floats(inputShape));
  }
  const [floatMin, floatMax] = activationBounds(op);
  ops.push({
    kind: OpKind.LinearFloat,
    name: node.name,
    inputs: [tensors.length - 1],
    output: tensors.length,
    filter,
    inFeatures,
    outFeatures: op.channels,
    activation: { floatMin, floatMax },
  });
  tensors.push(floats([...inputShape.slice(0, -1), op.channels]));
  const program = { tensors, ops, inputs: [0], outputs: [tensors.length - 1] };
  return { program, weights, signalToNoise };
}

export interface WeightOnlyGraph {
  readonly graph: Graph;
  /** Signal-to-noise of the stored weights, in dB, by node. */
  readonly weightFidelity: ReadonlyMap<string, number>;
  /** By table, the node that stores its rows, where it is another one. */
  readonly storedBy: ReadonlyMap<string, string>;
}

/**
 * @param weighted what to replace, by node
 * @param lowBit encoded weights of those that are not stored in INT8, by node
 */
export function replaceWeighted(
  graph: Graph,
  weighted: ReadonlyMap<string, Weighted>,
  lowBit: ReadonlyMap<string, EncodedLayer>,
): WeightOnlyGraph {
  const editor = new GraphEditor(graph);
  const weightFidelity = new Map<string, number>();
  const programs: PlacedProgram[] = [];
  for (const [name, each] of weighted) {
    if (each.kind === 'table') continue;
    const { program, weights, signalToNoise } = lowerProduct(each, lowBit.get(name));
    const constant = setRegionNode(editor, name, program, weights, [each.op.input]);
    programs.push({ program, weights, constant });
    weightFidelity.set(name, signalToNoise);
  }
  const tables = [...weighted.values()].filter((each) => each.kind === 'table');
  const replaced = replaceTables(editor, tables, lowBit, programs);
  return {
    graph: removeDeadNodes.apply(editor.finish()).graph,
    weightFidelity: new Map([...weightFidelity, ...replaced.weightFidelity]),
    storedBy: replaced.storedBy,
  };
}
