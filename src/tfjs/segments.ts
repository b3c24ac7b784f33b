/**
 * Cuts a graph into parts that are run one after the other, so that TF.js holds the weights of one part at a time. Its
 * WebAssembly backend keeps weights twice, as they are and packed, and memory that it has once taken is never given back.
 */
import { inGroups } from '../base/in-groups';
import { refKey } from '../graph/edit';
import { inferShapes } from '../graph/infer-shapes';
import type { Constant, Graph, GraphNode, TensorRef } from '../graph/ir';
import { STORED_BYTES } from '../graph/stored-constants';
import { constantBytes } from '../graph/weights';
import { withExplicitPadding } from './explicit-padding';
import { withSplitProducts } from './split-large-products';

/** Bytes of a segment, unless a single node has more: of the weights, and of what is asked for, which is held together. */
const SEGMENT_BYTES = 2 ** 23;

/** Up to this many bytes of weights a graph is run as a whole, however little of it is asked for. */
const WHOLE_BYTES = 2 ** 25;

/** Ops whose results are not all that their inputs determine, or that decide what is computed at all. */
const STATEFUL =
  /^(Switch|Merge|Enter|Exit|NextIteration|LoopCond|(Stateless)?(If|While)|Tensor(Array|List).*|.*Table.*)(V\d)?$/;

export interface Segment {
  /** What other segments compute are placeholders in it. */
  readonly graph: Graph;
  /** Tensors that are fed, under the names of `nameOf`. */
  readonly reads: readonly TensorRef[];
  /** Constants that are fed: TF.js makes copies of those that it loads. */
  readonly weights: ReadonlyMap<string, Constant>;
  /** Tensors that were asked for or that later segments read. */
  readonly gives: readonly TensorRef[];
}

/** The placeholder of a tensor. TF.js cannot be fed two outputs of one node. */
export function nameOf({ node, index }: TensorRef): string {
  return index === 0 ? node : `${node}//${index}`;
}

/** Nodes that some tensors depend on and that compute something, in topological order; not those of given tensors. */
function computedNodes(graph: Graph, refs: readonly TensorRef[], given: ReadonlySet<string>): GraphNode[] {
  const names = new Set(refs.map(({ node }) => node));
  for (const name of names)
    if (!given.has(name)) for (const input of graph.nodes.get(name)!.inputs) names.add(input.node);
  return [...graph.nodes.values()].filter(
    ({ name, op }) => names.has(name) && op !== 'Const' && !given.has(name),
  );
}

/** Bytes of tensors, those of one sample. */
function resultBytes(graph: Graph, refs: readonly TensorRef[]): (node: GraphNode) => number {
  const shapes = inferShapes(graph);
  const bytes = new Map<string, number>();
  for (const ref of refs) {
    const shape = shapes.get(refKey(ref)) ?? [];
    const own = constantBytes({ dtype: 'float32', shape: shape.map((d) => Math.max(d, 1)) });
    bytes.set(ref.node, (bytes.get(ref.node) ?? 0) + own);
  }
  return ({ name }) => bytes.get(name) ?? 0;
}

/** Bytes of the weights that a node is the first to read. */
function weightBytes({ constants }: Graph): (node: GraphNode) => number {
  const seen = new Set<string>();
  return ({ inputs }) => {
    const fresh = inputs.map(({ node }) => node).filter((name) => constants.has(name) && !seen.has(name));
    for (const name of fresh) seen.add(name);
    return [...new Set(fresh)].reduce((sum, name) => sum + constantBytes(constants.get(name)!), 0);
  };
}

function isFed(constant: Constant): boolean {
  return (
    constantBytes(constant) >= STORED_BYTES && constant.dtype !== 'string' && constant.dtype !== 'complex64'
  );
}

/** A part of a graph, with placeholders for what is fed. */
function partOf({ constants, source }: Graph, group: readonly GraphNode[]): Omit<Segment, 'gives'> {
  const own = new Set(group.map(({ name }) => name));
  const reads = new Map<string, TensorRef>();
  const weights = new Map<string, Constant>();
  const loaded = new Map<string, Constant>();
  const nodes = new Map<string, GraphNode>();
  const place = (name: string, op: string) => nodes.set(name, { name, op, inputs: [], attrs: {} });
  const renamed = (ref: TensorRef): TensorRef => {
    if (own.has(ref.node)) return ref;
    const constant = constants.get(ref.node);
    if (constant) {
      (isFed(constant) ? weights : loaded).set(ref.node, constant);
      place(ref.node, isFed(constant) ? 'Placeholder' : 'Const');
      return ref;
    }
    reads.set(refKey(ref), ref);
    place(nameOf(ref), 'Placeholder');
    return { node: nameOf(ref), index: 0 };
  };
  // Without state, the order of their inputs is all the order that nodes need.
  for (const node of group)
    nodes.set(node.name, { ...node, inputs: node.inputs.map(renamed), controlInputs: [] });
  const { modelTopology, format } = source;
  return {
    graph: { nodes, constants: loaded, inputs: [], outputs: [], source: { modelTopology, format } },
    reads: [...reads.values()],
    weights,
  };
}

/** The graph as it is cut into segments: what would be a large segment of its own is divided. */
export function prepareForSegments(graph: Graph): Graph {
  return withSplitProducts(withExplicitPadding(graph), SEGMENT_BYTES);
}

/** Whether a graph is run in segments: its weights are large, and nothing in it speaks against it. */
export function runsInSegments(graph: Graph, refs: readonly TensorRef[]): boolean {
  const nodes = computedNodes(graph, refs, new Set());
  const bytes = [...graph.constants.values()].reduce((sum, constant) => sum + constantBytes(constant), 0);
  return (
    bytes > WHOLE_BYTES &&
    !graph.inputs.some(({ optional }) => optional) &&
    !refs.some(({ node }) => graph.constants.has(node)) &&
    !nodes.some(({ op }) => STATEFUL.test(op))
  );
}

/**
 * @param refs what is to be computed
 * @param given tensors that are fed; all that are read of their nodes
 * @returns segments in the order in which they run
 */
export function segmentsOf(
  graph: Graph,
  refs: readonly TensorRef[],
  given: readonly TensorRef[] = graph.inputs.map(({ ref }) => ref),
): Segment[] {
  const nodes = computedNodes(graph, refs, new Set(given.map(({ node }) => node)));
  const [weights, results] = [weightBytes(graph), resultBytes(graph, refs)];
  const groups = inGroups(nodes, SEGMENT_BYTES, (node) => weights(node) + results(node));
  const parts = groups.map((group) => partOf(graph, group));
  const wanted = new Map([...parts.flatMap(({ reads }) => reads), ...refs].map((ref) => [refKey(ref), ref]));
  return parts.map((part, i) => {
    const own = new Set(groups[i].map(({ name }) => name));
    return { ...part, gives: [...wanted.values()].filter(({ node }) => own.has(node)) };
  });
}
