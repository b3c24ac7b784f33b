/**
 * Lookups in tables whose rows are quantized: a QuantizedGather each, under the name of the node that it replaces.
 *
 * A table is stored once. Lookups of the same one share its constants; one that is also the weights of a layer (the
 * projection to a vocabulary, tied to its embeddings) is looked up in the weights of that layer's program.
 */
import { entryOf } from '../../base/entry-of';
import type { GraphEditor } from '../../graph/edit';
import type { GraphNode, TensorRef } from '../../graph/ir';
import {
  OpKind,
  type Program,
  type StoredFilterRef,
  type TensorSpec,
  TensorType,
  WeightFormat,
  WeightsBuilder,
} from '../../program/program';
import type { FilterCodes } from '../../quantization/affine';
import { expandProgram } from '../quantize/emit/expand-program';
import { setLookupNode } from '../quantize/emit/region-node';
import type { EncodedLayer } from '../quantize/lower/encode-layer';
import type { Table } from './find';
import { fidelityOfRows, type Rows, rowsOf, storeRows } from './store-rows';

/** A program of a graph, whose weights are one of its constants. */
export interface PlacedProgram {
  readonly program: Program;
  readonly weights: WeightsBuilder;
  readonly constant: TensorRef;
}

export interface ReplacedTables {
  /** Signal-to-noise of the rows, in dB, by node. */
  readonly weightFidelity: ReadonlyMap<string, number>;
  /** By node, the one that stores the rows: a layer, or another lookup of the same table. */
  readonly storedBy: ReadonlyMap<string, string>;
}

/** Weights that are nearer to a table than this, in dB, are the table. */
const SAME_NUMBERS = 30;

function lookup({ node, indicesShape, constant }: Table, filter: StoredFilterRef): Program {
  const [rows, depth] = constant.shape;
  const spec = { scale: 1, zeroPoint: 0 };
  const indices: TensorSpec = { ...spec, type: TensorType.Int32, shape: indicesShape };
  const result: TensorSpec = { ...spec, type: TensorType.Float32, shape: [...indicesShape, depth] };
  return {
    tensors: [indices, result],
    ops: [{ kind: OpKind.Gather, name: node.name, inputs: [0], output: 1, filter, rows, depth }],
    inputs: [0],
    outputs: [1],
  };
}

/** The rows in INT8 that a program's weights hold. */
function codesIn(weights: WeightsBuilder, { filterOffset, scaleOffset }: StoredFilterRef): FilterCodes {
  const bytesAt = (at: number) => weights.parts.find(({ offset }) => offset === at)!.bytes;
  const [codes, scales] = [bytesAt(filterOffset), bytesAt(scaleOffset)];
  return {
    codes: new Int8Array(codes.buffer, codes.byteOffset, codes.length),
    scales: new Float32Array(scales.buffer, scales.byteOffset, scales.length / 4),
  };
}

interface TiedRows {
  readonly layer: string;
  readonly filter: StoredFilterRef;
  readonly constant: TensorRef;
  readonly signalToNoise: number;
}

/** The layer of a program whose weights in INT8 are the rows of a table. */
function findTied(rows: Rows, programs: readonly PlacedProgram[]): TiedRows | undefined {
  for (const { program, weights, constant } of programs) {
    for (const op of program.ops) {
      if (op.kind !== OpKind.Linear && op.kind !== OpKind.LinearFloat) continue;
      if (op.outFeatures !== rows.rows || op.inFeatures !== rows.depth) continue;
      if (op.filter.format !== WeightFormat.Int8) continue;
      const { biasOffset: _, ...filter } = op.filter;
      const signalToNoise = fidelityOfRows(rows, codesIn(weights, filter));
      if (signalToNoise >= SAME_NUMBERS) return { layer: op.name, filter, constant, signalToNoise };
    }
  }
  return undefined;
}

/**
 * @param tables by node
 * @param lowBit encoded rows of those that are not stored in INT8, by node
 * @param programs that are in the graph already
 */
export function replaceTables(
  editor: GraphEditor,
  tables: Iterable<Table>,
  lowBit: ReadonlyMap<string, EncodedLayer> = new Map(),
  programs: readonly PlacedProgram[] = [],
): ReplacedTables {
  const weightFidelity = new Map<string, number>();
  const storedBy = new Map<string, string>();
  /** The first lookup of each table in each format. */
  const first = new Map<string, GraphNode>();
  const tied = new Map<string, TiedRows | undefined>();
  for (const table of tables) {
    const { node, indices } = table;
    const { name } = node;
    const encoded = lowBit.get(name);
    const constant = node.inputs[0].node;
    const key = encoded ? `${constant} in ${encoded.matrix.format} of ${encoded.matrix.group}` : constant;
    const known = first.get(key);
    if (known) {
      editor.setNode({ ...known, name, inputs: [indices, ...known.inputs.slice(1)] });
      storedBy.set(name, known.name);
      weightFidelity.set(name, weightFidelity.get(known.name)!);
      continue;
    }
    const rows = rowsOf(table);
    if (!encoded && !tied.has(constant)) tied.set(constant, findTied(rows, programs));
    const layer = encoded ? undefined : tied.get(constant);
    if (layer) {
      setLookupNode(editor, name, lookup(table, layer.filter), layer.constant, indices);
      storedBy.set(name, layer.layer);
      weightFidelity.set(name, layer.signalToNoise);
      continue;
    }
    const weights = new WeightsBuilder();
    const { filter, signalToNoise } = storeRows(rows, encoded, weights);
    const [made] = expandProgram(editor, lookup(table, filter), weights.build(), [indices]);
    const gather = { ...entryOf(editor.nodes, made.node), name };
    editor.remove(made.node);
    editor.setNode(gather);
    first.set(key, gather);
    weightFidelity.set(name, signalToNoise);
  }
  return { weightFidelity, storedBy };
}
