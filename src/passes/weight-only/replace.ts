/**
 * Products and tables with their weights quantized, everything else in float.
 *
 * A product becomes the node of a program of one op, behind a rotation of its input where there is one; a table becomes a
 * QuantizedGather. Each keeps its name, so that its readers stay as they are.
 */
import { entryOf } from '../../base/entry-of';
import { GraphEditor } from '../../graph/edit';
import type { Graph } from '../../graph/ir';
import {
  type Op,
  OpKind,
  type Program,
  type StoredFilterRef,
  type TensorSpec,
  TensorType,
  WeightsBuilder,
} from '../../program/program';
import { quantizeFilter } from '../../quantization/affine';
import { SignalToNoise } from '../../quantization/metrics';
import { activationBounds, weightsPerChannel } from '../linear-op';
import { expandProgram } from '../quantize/emit/expand-program';
import { setRegionNode } from '../quantize/emit/region-node';
import type { EncodedLayer } from '../quantize/lower/encode-layer';
import { reorder } from '../quantize/lower/filter-order';
import { appendInt8Filter, appendLowBitFilter } from '../quantize/lower/filters';
import { removeDeadNodes } from '../remove-dead-nodes';
import type { Product, Table, Weighted } from './find';

/** [rows][inputs] */
export function rowsOf(weighted: Weighted): { values: Float32Array; rows: number; depth: number } {
  if (weighted.kind === 'product')
    return {
      values: reorder(weighted.op),
      rows: weighted.op.channels,
      depth: weightsPerChannel(weighted.op),
    };
  const { values, shape } = weighted.constant;
  return { values: values as Float32Array, rows: shape[0], depth: shape[1] };
}

interface Stored {
  readonly filter: StoredFilterRef;
  readonly signalToNoise: number;
}

function storeInt8(weighted: Weighted, weights: WeightsBuilder, bias: Float32Array | undefined): Stored {
  const { values, rows, depth } = rowsOf(weighted);
  const row = (i: number) => Math.floor(i / depth);
  const { codes, scales } = quantizeFilter(values, row, rows, undefined, 1);
  const noise = new SignalToNoise();
  noise.add(
    values,
    Float32Array.from(codes, (code, i) => code * scales[row(i)]),
  );
  return { filter: appendInt8Filter(weights, { codes, scales }, bias), signalToNoise: noise.decibels };
}

function store(
  weighted: Weighted,
  encoded: EncodedLayer | undefined,
  weights: WeightsBuilder,
  bias?: Float32Array,
): Stored {
  if (!encoded) return storeInt8(weighted, weights, bias);
  const { matrix, signalToNoise } = encoded;
  return { filter: appendLowBitFilter(weights, matrix, bias), signalToNoise };
}

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

function lowerProduct({ node, op, inputShape }: Product, encoded: EncodedLayer | undefined): Lowered {
  const weights = new WeightsBuilder();
  const { filter, signalToNoise } = store(
    { kind: 'product', node, op, inputShape },
    encoded,
    weights,
    op.bias,
  );
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

function lowerTable(table: Table, encoded: EncodedLayer | undefined): Lowered {
  const { node, indicesShape } = table;
  const weights = new WeightsBuilder();
  const { filter, signalToNoise } = store(table, encoded, weights);
  const [rows, depth] = table.constant.shape;
  const indices = { type: TensorType.Int32, shape: indicesShape, scale: 1, zeroPoint: 0 };
  const program: Program = {
    tensors: [indices, floats([...indicesShape, depth])],
    ops: [{ kind: OpKind.Gather, name: node.name, inputs: [0], output: 1, filter, rows, depth }],
    inputs: [0],
    outputs: [1],
  };
  return { program, weights, signalToNoise };
}

/** The expanded node takes the table's name. */
function replaceTable(editor: GraphEditor, { node, indices }: Table, { program, weights }: Lowered): void {
  const [made] = expandProgram(editor, program, weights.build(), [indices]);
  const gather = entryOf(editor.nodes, made.node);
  editor.remove(made.node);
  editor.setNode({ ...gather, name: node.name });
}

export interface WeightOnlyGraph {
  readonly graph: Graph;
  /** Signal-to-noise of the stored weights, in dB, by node. */
  readonly weightFidelity: ReadonlyMap<string, number>;
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
  for (const [name, each] of weighted) {
    const encoded = lowBit.get(name);
    const lowered = each.kind === 'table' ? lowerTable(each, encoded) : lowerProduct(each, encoded);
    if (each.kind === 'table') replaceTable(editor, each, lowered);
    else setRegionNode(editor, name, lowered.program, lowered.weights, [each.op.input]);
    weightFidelity.set(name, lowered.signalToNoise);
  }
  return { graph: removeDeadNodes.apply(editor.finish()).graph, weightFidelity };
}
