/**
 * Folds rotations into weights, where they cost nothing at run time: the layer before computes its outputs rotated.
 *
 * Identity: for an orthogonal R, W2 (W1 x + b1) = (W2 R^T) (R W1 x + R b1), and R a + R b = R (a + b).
 * Pattern: tensors joined by sums, computed by convolutions and matrix products without an activation, and read only by
 * such sums, convolutions and matrix products. At least one of these layers has a rotated input, and none must not.
 * Replacement: new weights on both sides; zero borders stay zero. The graph computes the same outputs.
 * Declines: anything else in between, depthwise convolutions for one, and tensors that are outputs of the model.
 */
import { consumers, GraphEditor, output, outputNodes, refKey } from '../graph/edit';
import type { Shapes } from '../graph/infer-shapes';
import type { Graph, GraphNode, TensorRef } from '../graph/ir';
import { type Rotation, rotateRows } from '../quantization/hadamard';
import { type LinearOp, linearKind, readLinearOp, writeLinearOp } from './linear-op';
import { ChangeLog, type PassResult } from './pass';
import { rotatedWeights } from './quantize/lower/encode-layer';
import { inFilterOrder } from './quantize/lower/filter-order';

const SUMS: ReadonlySet<string> = new Set(['Add', 'AddV2', 'Sub', 'AddN']);

/** Tensors that would be rotated together, and the layers that compute and read them. */
interface Group {
  readonly tensors: ReadonlySet<string>;
  readonly producers: readonly string[];
  readonly readers: readonly string[];
}

interface Search {
  readonly graph: Graph;
  readonly shapes: Shapes;
  readonly readersOf: ReadonlyMap<string, readonly GraphNode[]>;
  readonly outputs: ReadonlySet<string>;
}

function linearOp(graph: Graph, node: GraphNode): LinearOp | undefined {
  if (!linearKind(node)) return undefined;
  const op = readLinearOp(graph, node);
  return typeof op === 'string' || op.kind === 'depthwise' ? undefined : op;
}

/** A sum of tensors of one shape, none of them broadcast. */
function isPlainSum({ shapes, graph }: Search, node: GraphNode): boolean {
  if (!SUMS.has(node.op)) return false;
  const [result, ...parts] = [output(node.name), ...node.inputs].map((ref) =>
    shapes.get(refKey(ref))?.join(),
  );
  return parts.every((part) => part === result) && !node.inputs.some((i) => graph.constants.has(i.node));
}

/** Everything that must be rotated along with a tensor; undefined where something in the way cannot be. */
function groupOf(search: Search, start: TensorRef): Group | undefined {
  const { graph, readersOf, outputs } = search;
  const tensors = new Set<string>();
  const producers: string[] = [];
  const readers = new Set<string>();
  const queue = [start];
  for (let ref = queue.pop(); ref; ref = queue.pop()) {
    if (tensors.has(refKey(ref))) continue;
    tensors.add(refKey(ref));
    const node = graph.nodes.get(ref.node)!;
    if (outputs.has(node.name) || ref.index !== 0) return undefined;
    if (isPlainSum(search, node)) queue.push(...node.inputs);
    else if (linearOp(graph, node) && !linearOp(graph, node)!.activation) producers.push(node.name);
    else return undefined;
    for (const reader of readersOf.get(node.name) ?? []) {
      if (isPlainSum(search, reader)) queue.push(output(reader.name));
      else if (linearOp(graph, reader)?.input.node === node.name) readers.add(reader.name);
      else return undefined;
    }
  }
  return { tensors, producers, readers: [...readers] };
}

function rotateInputs(op: LinearOp, rotation: Rotation): LinearOp {
  return { ...op, filter: { ...op.filter, values: inFilterOrder(op, rotatedWeights(op, rotation)) } };
}

function rotateOutputs(op: LinearOp, rotation: Rotation): LinearOp {
  const { channels, filter, bias } = op;
  const columns = op.transposed ? filter.shape[1] : 1;
  const before = filter.values as Float32Array;
  const values = new Float32Array(before.length);
  if (op.transposed) {
    // [out, in]: an output's weights for one input lie a row apart.
    const column = new Float32Array(channels);
    for (let k = 0; k < columns; k++) {
      for (let c = 0; c < channels; c++) column[c] = before[c * columns + k];
      const turned = rotateRows(column, 1, channels, rotation);
      for (let c = 0; c < channels; c++) values[c * columns + k] = turned[c];
    }
  } else {
    values.set(rotateRows(before, before.length / channels, channels, rotation));
  }
  return {
    ...op,
    filter: { ...filter, values },
    ...(bias && { bias: rotateRows(bias, 1, channels, rotation) }),
  };
}

export interface FoldedRotations extends PassResult {
  /** Layers that need no rotation of their input any more. */
  readonly folded: ReadonlySet<string>;
  /** Nodes whose results are rotated now, and how. */
  readonly results: ReadonlyMap<string, Rotation>;
}

/**
 * @param rotations of the inputs of layers, by node
 * @param against layers whose input must not be rotated
 */
export function foldRotations(
  graph: Graph,
  shapes: Shapes,
  rotations: ReadonlyMap<string, Rotation>,
  against: ReadonlySet<string>,
): FoldedRotations {
  const log = new ChangeLog('fold-rotations');
  const editor = new GraphEditor(graph);
  const search = { graph, shapes, readersOf: consumers(graph), outputs: outputNodes(graph) };
  const folded = new Set<string>();
  const results = new Map<string, Rotation>();
  for (const [name, rotation] of rotations) {
    if (folded.has(name)) continue;
    const group = groupOf(search, graph.nodes.get(name)!.inputs[0]);
    const same = (reader: string) => (rotations.get(reader)?.block ?? rotation.block) === rotation.block;
    if (!group?.readers.every((reader) => !against.has(reader) && same(reader))) {
      log.declined(name, 'its rotation is computed: what it reads cannot be made rotated');
      continue;
    }
    const rewrite = (layer: string, change: (op: LinearOp, rotation: Rotation) => LinearOp) => {
      const op = readLinearOp(editor, editor.nodes.get(layer)!) as LinearOp;
      writeLinearOp(editor, layer, change(op, rotation));
    };
    for (const producer of group.producers) rewrite(producer, rotateOutputs);
    for (const reader of group.readers) {
      rewrite(reader, rotateInputs);
      if (rotations.has(reader)) folded.add(reader);
    }
    for (const key of group.tensors) results.set(key.slice(0, key.lastIndexOf(':')), rotation);
    log.rewrote(name, `its rotation is in the weights of ${group.producers.map((p) => `'${p}'`).join(', ')}`);
  }
  return { graph: editor.finish(), changes: log.changes, folded, results };
}
