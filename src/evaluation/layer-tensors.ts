/** Which tensor of a converted graph corresponds to which tensor of the float graph. */
import { artefactMetadata, type LayerRecord } from '../graph/artefact';
import { GraphEditor, output, refKey } from '../graph/edit';
import type { Graph, GraphNode, TensorRef } from '../graph/ir';
import { nodesInControlFlow } from '../passes/quantize/plan/control-flow';
import { OpKind, TensorType } from '../program/program';
import { type Tap, tapProgram } from '../program/tap-program';

/** How the codes of a tensor stand for real values. */
export interface Codes {
  readonly bits: 8 | 16;
  readonly scale: number;
  readonly zeroPoint: number;
}

/** A tensor in both graphs. */
export interface LayerTensor {
  readonly record: LayerRecord;
  readonly float: TensorRef;
  readonly converted: TensorRef;
  /** Absent for real values. */
  readonly codes?: Codes;
  /** Computed by the quantized program of this node. */
  readonly region?: string;
}

/** The quantized program of a node. */
export interface RegionProgram {
  readonly inputs: readonly TensorRef[];
  readonly words: Int32Array;
  readonly weights: Int32Array;
}

export function regionProgram(graph: Graph, { inputs }: GraphNode): RegionProgram {
  const values = (ref: TensorRef) => graph.constants.get(ref.node)!.values as Int32Array;
  const [words, weights] = inputs.slice(-2).map(values);
  return { inputs: inputs.slice(0, -2), words, weights };
}

export function regionsOf(graph: Graph): GraphNode[] {
  return [...graph.nodes.values()].filter(({ op }) => op === 'QuantizedRegion');
}

export interface TappedGraph {
  /** The converted graph with every intermediate of its programs as an output of their nodes. */
  readonly graph: Graph;
  /** In the order of execution. */
  readonly tensors: readonly LayerTensor[];
}

/** Names in a program are cut to a limit, so a long one is found by its beginning. */
export function findByName<T extends { readonly name: string }>(
  records: readonly T[],
  name: string,
): T | undefined {
  return records.find((r) => r.name === name) ?? records.find((r) => r.name.startsWith(name));
}

function codesOf({ type, scale, zeroPoint }: Tap): Codes | undefined {
  if (type === TensorType.Float32) return undefined;
  return { bits: type === TensorType.Int16 ? 16 : 8, scale, zeroPoint };
}

/** The last result of each name: what comes before are steps on the way to it. Reshapes change nothing. */
function lastOfName(taps: readonly Tap[]): Tap[] {
  const computing = taps.filter(({ kind }) => kind !== OpKind.Reshape);
  return [...new Map(computing.map((tap) => [tap.name, tap])).values()];
}

function tapRegion(editor: GraphEditor, node: GraphNode, records: readonly LayerRecord[]): LayerTensor[] {
  const program = node.inputs[node.inputs.length - 2];
  const words = editor.constants.get(program.node)!;
  const tapped = tapProgram(words.values as Int32Array);
  editor.setConstant(program.node, { ...words, shape: [tapped.program.length], values: tapped.program });
  return lastOfName(tapped.taps).flatMap((tap) => {
    const record = findByName(records, tap.name);
    if (!record) return [];
    return {
      record,
      float: output(record.output ?? record.name),
      converted: output(node.name, tap.output),
      codes: codesOf(tap),
      region: node.name,
    };
  });
}

/**
 * Opens the programs of a converted graph.
 *
 * @param converted as `readModel` reads it
 * @param float the graph that was quantized: names are looked up in it
 */
export function tapGraph(converted: Graph, float: Graph): TappedGraph {
  const records = artefactMetadata(converted, 'The model').layers;
  const editor = new GraphEditor(converted);
  const conditional = nodesInControlFlow(converted); // computed under a condition, or repeatedly
  const tensors: LayerTensor[] = [];
  for (const node of converted.nodes.values()) {
    if (node.op === 'QuantizedRegion') {
      tensors.push(...tapRegion(editor, node, records));
      continue;
    }
    const record = records.find((r) => r.name === node.name && r.precision === 'float32');
    if (record && node.op !== 'NoOp' && !conditional.has(node.name)) {
      tensors.push({ record, float: output(node.name), converted: output(node.name) });
    }
  }
  return { graph: editor.finish(), tensors: tensors.filter(({ float: ref }) => float.nodes.has(ref.node)) };
}

/** `node:index` of all that layers compute or regions read: where one layer ends and another begins. */
export function layerBorders({ graph, tensors }: TappedGraph): Set<string> {
  return new Set([
    ...tensors.map(({ float }) => refKey(float)),
    ...regionsOf(graph).flatMap((region) => regionProgram(graph, region).inputs.map(refKey)),
  ]);
}

/**
 * The nodes of a layer: all that its result depends on, up to the results of other layers.
 *
 * @param borders as `layerBorders` gives them
 */
export function nodesOfLayer(float: Graph, result: TensorRef, borders: ReadonlySet<string>): GraphNode[] {
  const found = new Map<string, GraphNode>();
  const queue = [result];
  for (let ref = queue.pop(); ref; ref = queue.pop()) {
    const node = float.nodes.get(ref.node)!;
    if (found.has(node.name) || node.op === 'Const' || node.op.startsWith('Placeholder')) continue;
    if (refKey(ref) !== refKey(result) && borders.has(refKey(ref))) continue;
    found.set(node.name, node);
    queue.push(...node.inputs);
  }
  return [...found.values()];
}
