/**
 * Masks: values that stand for "never", as -1e9 added to the scores of an attention where it must not look, or the lowest
 * float around the border of a maximum. They are no data, and must not set the range of a tensor: with 256 codes from -1e9
 * on, all else is one code.
 *
 * What holds such values is computed on float32, up to the functions that make ordinary values of them: softmax, maxima,
 * rectifiers, sigmoids. So is every sum before a softmax, as masks may come from outside.
 */
import { consumers } from '../../../graph/edit';
import type { Constant, Graph, GraphNode } from '../../../graph/ir';

/** No data of a network is as large; masks are: -1e4 (BERT), -65504, -1e9, the lowest float32, -infinity. */
const MIN_MASK = 9999;

/** Ops whose result holds a mask value where a constant operand is one: the positions of such operands. */
const SOURCES: Readonly<Record<string, readonly number[]>> = {
  Add: [0, 1],
  AddV2: [0, 1],
  BiasAdd: [1],
  Sub: [0, 1],
  Mul: [0, 1],
  Select: [1, 2],
  SelectV2: [1, 2],
  Fill: [1],
  PadV2: [2],
  SparseToDense: [2, 3],
};

/** Ops whose result holds what one of these operands holds. */
const CARRIERS: Readonly<Record<string, readonly number[]>> = {
  ...SOURCES,
  RealDiv: [0],
  Neg: [0],
  Abs: [0],
  LeakyRelu: [0],
  Prelu: [0],
  Identity: [0],
  Cast: [0],
  Reshape: [0],
  Squeeze: [0],
  ExpandDims: [0],
  Transpose: [0],
  Tile: [0],
  BroadcastTo: [0],
  Slice: [0],
  StridedSlice: [0],
  Pad: [0],
  MirrorPad: [0],
  PadV2: [0, 2],
  Gather: [0],
  GatherV2: [0],
  GatherNd: [0],
  ResizeNearestNeighbor: [0],
};

/** These join all of their operands. */
const JOINS = new Set(['ConcatV2', 'Pack', 'AddN', 'Merge']);

const MOVES = new Set(['Identity', 'Transpose', 'Reshape', 'Squeeze', 'ExpandDims']);

const MAXIMA = new Set(['MaxPool', 'Max']);

const SUMS = new Set(['Add', 'AddV2', 'Sub']);

export function isMaskValue(value: number): boolean {
  return Math.abs(value) >= MIN_MASK;
}

function holdsMask({ dtype, values }: Constant): boolean {
  return dtype === 'float32' && values.some(isMaskValue);
}

function carries({ op, inputs }: GraphNode, holds: (node: string) => boolean): boolean {
  const positions = JOINS.has(op) ? inputs.map((_, i) => i) : (CARRIERS[op] ?? []);
  return positions.some((i) => inputs[i] !== undefined && holds(inputs[i].node));
}

/** Names of the nodes whose result holds mask values; constants are not among them. */
function masked(graph: Graph): Set<string> {
  const constants = new Map<string, boolean>();
  const isMask = (name: string) => {
    const constant = graph.constants.get(name);
    if (!constant) return false;
    const known = constants.get(name) ?? holdsMask(constant);
    constants.set(name, known);
    return known;
  };
  const found = new Set<string>();
  for (const node of graph.nodes.values()) {
    const source = (SOURCES[node.op] ?? []).some((i) => node.inputs[i] && isMask(node.inputs[i].node));
    if (source || carries(node, (name) => found.has(name))) found.add(node.name);
  }
  return found;
}

/** Whether all that reads a node's result, moved or not, is the maximum of a window or of an axis. */
export function onlyMaximaRead(readers: ReadonlyMap<string, readonly GraphNode[]>, name: string): boolean {
  const reads = readers.get(name) ?? [];
  return (
    reads.length > 0 &&
    reads.every(
      ({ op, name: reader }) => MAXIMA.has(op) || (MOVES.has(op) && onlyMaximaRead(readers, reader)),
    )
  );
}

/** Sums of two activations that a softmax reads, at once or reshaped. */
function sumsBeforeSoftmax(graph: Graph): string[] {
  const found: string[] = [];
  for (const { op, inputs } of graph.nodes.values()) {
    if (op !== 'Softmax') continue;
    let node = graph.nodes.get(inputs[0].node);
    while (node && MOVES.has(node.op)) node = graph.nodes.get(node.inputs[0].node);
    if (node && SUMS.has(node.op)) found.push(node.name);
  }
  return found;
}

export interface Masks {
  /** Names of the nodes that are computed on float32. */
  readonly onFloat32: ReadonlySet<string>;
  /** Names of pads with a mask that only maxima read: the lowest code does for them. */
  readonly pads: ReadonlySet<string>;
}

/** @param float nodes that are left in float: what reads such a pad reads the mask itself */
export function findMasks(graph: Graph, float: ReadonlyMap<string, string> = new Map()): Masks {
  const holding = masked(graph);
  const readers = consumers(graph);
  const pads = new Set(
    [...holding].filter((name) => {
      const node = graph.nodes.get(name);
      const quantized = node?.op === 'PadV2' && !float.has(name);
      return quantized && !holding.has(node.inputs[0].node) && onlyMaximaRead(readers, name);
    }),
  );
  // Behind such a pad there are no masks: what it pads with is the lowest value of its input.
  const behind = new Set<string>();
  const queue = [...pads];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    for (const reader of readers.get(name) ?? []) {
      behind.add(reader.name);
      if (MOVES.has(reader.op)) queue.push(reader.name);
    }
  }
  const onFloat32 = new Set(sumsBeforeSoftmax(graph));
  for (const name of holding) {
    if (pads.has(name) || behind.has(name)) continue;
    onFloat32.add(name);
    for (const reader of readers.get(name) ?? []) onFloat32.add(reader.name);
  }
  return { onFloat32, pads };
}
