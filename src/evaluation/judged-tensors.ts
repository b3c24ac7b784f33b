/**
 * The tensors that a converted model is judged by: its outputs, and in the place of an output that comes of a selection,
 * of the best scores for example, the numbers that it is selected from.
 *
 * Where two scores are nearly equal, the smallest error makes the other one come first, and everything that is selected
 * by them is another. No precision but that of the float model leaves such an output as it is.
 */
import { dtypeAttr } from '../graph/attrs';
import { consumers, refKey } from '../graph/edit';
import type { DType, Graph, GraphNode, TensorRef } from '../graph/ir';
import { nodesInControlFlow } from '../passes/quantize/plan/control-flow';
import { isProduct } from './products';

export interface JudgedTensor {
  /** The output's, or that of the node that computes it. */
  readonly name: string;
  /** In the float model. */
  readonly ref: TensorRef;
  readonly dtype: DType;
  /** Where it is in another form of the model; undefined where it is not in it. */
  locate(form: Graph): TensorRef | undefined;
}

export interface Judged {
  readonly tensors: readonly JudgedTensor[];
  /** By output that comes of a selection, the names of the tensors that it is selected from. */
  readonly selections: ReadonlyMap<string, readonly string[]>;
}

const SELECTIONS: ReadonlySet<string> = new Set([
  'TopK',
  'TopKV2',
  'ArgMax',
  'ArgMin',
  'Where',
  'NonMaxSuppressionV2',
  'NonMaxSuppressionV3',
  'NonMaxSuppressionV4',
  'NonMaxSuppressionV5',
]);

const COMPARISONS: ReadonlySet<string> = new Set([
  'Equal',
  'NotEqual',
  'Greater',
  'GreaterEqual',
  'Less',
  'LessEqual',
]);

/** Their results are truth values, indices or sizes. */
const UNREAL: ReadonlySet<string> = new Set([
  ...COMPARISONS,
  ...['LogicalAnd', 'LogicalOr', 'LogicalNot', 'LogicalXor', 'All', 'Any', 'IsNan', 'IsInf', 'IsFinite'],
  ...['ArgMax', 'ArgMin', 'Where', 'Shape', 'ShapeN', 'Size', 'Rank', 'Range'],
]);

/** Lists of tensors: only what is read out of them is one. */
const LISTS = /^Tensor(Array|List)(?!Gather|Read|Stack|GetItem|Concat)/;

/** What computes nothing: its result has some of the numbers that it reads. */
const VIEWS: ReadonlySet<string> = new Set([
  ...['Identity', 'StopGradient', 'Reshape', 'Squeeze', 'ExpandDims', 'Transpose'],
  ...['Unpack', 'StridedSlice', 'Slice', 'MaxPool'],
]);

const RENAMES: ReadonlySet<string> = new Set(['Identity', 'Reshape', 'Squeeze', 'ExpandDims', 'Cast']);

function isReal(graph: Graph, { node: name, index }: TensorRef): boolean {
  const node = graph.nodes.get(name)!;
  if (UNREAL.has(node.op) || LISTS.test(node.op) || (node.op === 'TopKV2' && index === 1)) return false;
  return (dtypeAttr(node, node.op === 'Cast' ? 'DstT' : 'T') ?? 'float32') === 'float32';
}

/** Peaks are where a tensor equals its maxima over windows. */
function findsPeaks(graph: Graph, { op, inputs }: GraphNode): boolean {
  return COMPARISONS.has(op) && inputs.some(({ node }) => graph.nodes.get(node)!.op === 'MaxPool');
}

/** Some nodes, and all that depend on them. */
function withReaders(graph: Graph, starts: readonly GraphNode[]): Set<string> {
  const readers = consumers(graph);
  const found = new Set(starts.map(({ name }) => name));
  for (const name of found) for (const reader of readers.get(name) ?? []) found.add(reader.name);
  return found;
}

/** Some node, and all that it depends on. */
function withReads(graph: Graph, start: string): Set<string> {
  const found = new Set([start]);
  for (const name of found) for (const { node } of graph.nodes.get(name)!.inputs) found.add(node);
  return found;
}

function through(ops: ReadonlySet<string>, graph: Graph, ref: TensorRef): TensorRef {
  let [found, node] = [ref, graph.nodes.get(ref.node)!];
  while (ops.has(node.op)) {
    found = node.inputs[0];
    node = graph.nodes.get(found.node)!;
  }
  return found;
}

/** Finds what outputs are selected from. */
class Selections {
  private readonly selecting: ReadonlySet<string>;
  /** What depends on a selection. */
  readonly selected: ReadonlySet<string>;
  /** What quantization changes. */
  private readonly noisy: ReadonlySet<string>;
  private readonly unseen: ReadonlyMap<string, string>;

  constructor(
    private readonly graph: Graph,
    private readonly stays: (node: string) => boolean,
  ) {
    const nodes = [...graph.nodes.values()];
    const noisy = withReaders(graph, nodes.filter(isProduct));
    const selecting = nodes.filter(
      (node) =>
        (SELECTIONS.has(node.op) || findsPeaks(graph, node)) &&
        node.inputs.some((input) => noisy.has(input.node)),
    );
    this.noisy = noisy;
    this.selecting = new Set(selecting.map(({ name }) => name));
    this.selected = withReaders(graph, selecting);
    this.unseen = nodesInControlFlow(graph);
  }

  /** Classes, one for each row or pixel: they are judged by how many differ. */
  isClasses(ref: TensorRef): boolean {
    const { node } = through(RENAMES, this.graph, ref);
    const before = [...withReads(this.graph, node)].filter((name) => name !== node);
    return this.graph.nodes.get(node)!.op === 'ArgMax' && !before.some((name) => this.selecting.has(name));
  }

  /**
   * The real numbers that nodes on the way to an output select from, or gather by what was selected.
   *
   * @returns undefined where some of them are not in every form of the model
   */
  sourcesOf(name: string): JudgedTensor[] | undefined {
    const found = new Map<string, { ref: TensorRef; readers: [string, number][] }>();
    const seen = new Set<string>();
    const visit = (reader: GraphNode): void => {
      for (const [position, ref] of reader.inputs.entries()) {
        if (!this.noisy.has(ref.node) || this.selected.has(ref.node)) continue;
        const node = this.graph.nodes.get(ref.node)!;
        const peaks = node.op === 'MaxPool' && COMPARISONS.has(reader.op);
        if (isReal(this.graph, ref) && !this.unseen.has(ref.node) && !peaks) {
          const source = found.get(refKey(ref)) ?? { ref, readers: [] };
          source.readers.push([reader.name, position]);
          found.set(refKey(ref), source);
        } else if (!seen.has(node.name)) {
          seen.add(node.name);
          visit(node);
        }
      }
    };
    for (const each of withReads(this.graph, name))
      if (this.selected.has(each)) visit(this.graph.nodes.get(each)!);
    const sources = [...found.values()].flatMap(({ ref, readers }) => {
      const kept = readers.find(([reader]) => this.stays(reader));
      return kept ? [sourceOf(this.graph, ref, ...kept)] : [];
    });
    return sources.length > 0 && sources.length === found.size ? sources : undefined;
  }
}

/** @param reader a node that reads it, as its input of this position */
function sourceOf(graph: Graph, ref: TensorRef, reader: string, position: number): JudgedTensor {
  const taken = graph.outputs.some(({ name }) => name === ref.node);
  return {
    name: ref.index === 0 && !taken ? ref.node : refKey(ref),
    ref,
    dtype: 'float32',
    locate: (form) => form.nodes.get(reader)?.inputs[position],
  };
}

/**
 * @param graph the float model as it was read
 * @param stays whether a node is in all forms of the model that are judged
 */
export function judgedTensors(graph: Graph, stays: (node: string) => boolean): Judged {
  const found = new Selections(graph, stays);
  const outputs = graph.outputs.map(({ name, ref, dtype }) => {
    const selected = found.selected.has(ref.node) && !found.isClasses(ref);
    const locate = (form: Graph) => form.outputs.find((output) => output.name === name)?.ref;
    return {
      tensor: { name, ref, dtype, locate },
      sources: selected ? found.sourcesOf(ref.node) : undefined,
    };
  });
  const viewed = (ref: TensorRef) => refKey(through(VIEWS, graph, ref));
  const tensors = outputs.flatMap(({ tensor, sources }) => (sources ? [] : [tensor]));
  // A view of an output is judged there.
  const byView = new Map<string, JudgedTensor>(tensors.map((tensor) => [viewed(tensor.ref), tensor]));
  const selections = new Map<string, readonly string[]>();
  for (const { tensor, sources } of outputs) {
    if (!sources) continue;
    const names = sources.map((source) => {
      const known = byView.get(viewed(source.ref)) ?? tensors.find(({ name }) => name === source.name);
      if (known) return known.name;
      tensors.push(source);
      return source.name;
    });
    selections.set(tensor.name, [...new Set(names)]);
  }
  return { tensors, selections };
}

/** A form of the model whose outputs are those of the tensors that are in it. */
export function toJudged(form: Graph, tensors: readonly JudgedTensor[]): Graph {
  const outputs = tensors.flatMap(({ name, dtype, locate }) => {
    const ref = locate(form);
    return ref ? [{ name, ref, dtype }] : [];
  });
  return { ...form, outputs };
}
