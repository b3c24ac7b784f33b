/**
 * The plan of a quantization: which nodes go into which region, what each stores, and which tensors must be observed to
 * know the scales. Nodes that stay float have their reason here.
 */
import { dtypeAttr } from '../../../graph/attrs';
import { consumers, output, outputNodes, refKey } from '../../../graph/edit';
import { inferShapes, type Shapes } from '../../../graph/infer-shapes';
import type { DType, Graph, GraphNode, TensorRef } from '../../../graph/ir';
import { MIXTURE_OP } from '../../../graph/mixture';
import type { Store } from '../lower/program-builder';
import { matchBatchMatMul } from '../match/batch-matmul';
import { matchElementwise } from '../match/elementwise';
import { matchMoves } from '../match/layout';
import { matchPointwise } from '../match/pointwise';
import { matchPooling } from '../match/pooling';
import { matchPrelu } from '../match/prelu';
import type { ActivationPrecision, Facts, FloatForm, Matcher, Quantizable } from '../match/quantizable';
import { matchConcat, matchReshape } from '../match/reshape';
import { matchResize } from '../match/resize';
import { matchSoftmax } from '../match/softmax';
import { matchTransposed } from '../match/transposed-convolution';
import { matchWeighted } from '../match/weighted';
import { nodesBeforeLogarithm } from './before-logarithm';
import { nodesInControlFlow } from './control-flow';
import { findFloatChains } from './float-chains';
import { type Chain, findChains } from './pointwise-chains';
import { outlineRegions, regionOutputs } from './regions';

/** The first that speaks for a node decides. */
const MATCHERS: readonly Matcher[] = [
  matchBatchMatMul,
  matchWeighted,
  matchTransposed,
  matchPooling,
  matchPointwise,
  matchElementwise,
  matchPrelu,
  matchResize,
  matchReshape,
  matchConcat,
  matchMoves,
  matchSoftmax,
];

/**
 * A step of a region's program: an op with its store, a table over an earlier tensor, or a node of a layer with int16 or
 * dynamic activations, which reads and stores real values.
 */
export type Step =
  | {
      readonly kind: 'op';
      readonly node: GraphNode;
      readonly quantizable: Quantizable;
      readonly store: Store;
    }
  | {
      readonly kind: 'lookup';
      readonly from: TensorRef;
      readonly to: TensorRef;
      readonly f: (x: number) => number;
    }
  | {
      readonly kind: 'floatInOut';
      readonly node: GraphNode;
      readonly quantizable: Quantizable;
      readonly result: TensorRef;
      readonly form: FloatForm;
    };

export interface Region {
  readonly nodes: readonly GraphNode[];
  readonly inputs: readonly TensorRef[];
  readonly outputs: readonly TensorRef[];
  readonly steps: readonly Step[];
  /** Tensors whose ranges the program needs. */
  readonly observed: readonly TensorRef[];
  /** Tensors, by key, that take the range of another one: rounding twice on the way to it would cost accuracy and time. */
  readonly sharedRanges: ReadonlyMap<string, TensorRef>;
}

export interface QuantizationPlan {
  readonly regions: readonly Region[];
  readonly shapes: Shapes;
  /** Why a node stays float, by name. */
  readonly float: ReadonlyMap<string, string>;
  /** Names of those of them that have a form in the program, but are in no region. */
  readonly outside: ReadonlySet<string>;
  /** The nodes that run on real values, by name, and how those of them that have weights multiply. */
  readonly precisions: ReadonlyMap<string, ActivationPrecision>;
}

function isSource(node: GraphNode): boolean {
  return node.op === 'Const' || node.op.startsWith('Placeholder');
}

/** The dtype of a node's result, as far as its attributes or its inputs tell. */
function resultTypes(graph: Graph): Map<string, DType> {
  const types = new Map<string, DType>();
  for (const node of graph.nodes.values()) {
    const declared = dtypeAttr(node, node.op === 'Cast' ? 'DstT' : node.op === 'Shape' ? 'out_type' : 'T');
    const source =
      graph.constants.get(node.name)?.dtype ?? graph.inputs.find((i) => i.ref.node === node.name)?.dtype;
    const inherited = node.inputs[0] ? types.get(node.inputs[0].node) : undefined;
    types.set(node.name, source ?? declared ?? (node.op === 'Shape' ? 'int32' : inherited) ?? 'float32');
  }
  return types;
}

/** Nodes of which another output than the first is read. */
function severalOutputs(graph: Graph): Set<string> {
  const refs = [...[...graph.nodes.values()].flatMap((n) => n.inputs), ...graph.outputs.map((o) => o.ref)];
  return new Set(refs.filter((r) => r.index > 0).map((r) => r.node));
}

function match(node: GraphNode, facts: Facts, type: DType): Quantizable | string {
  if (node.op === 'Identity') return 'it only names an output';
  if (node.op === MIXTURE_OP) return 'convert packs its experts into a file of their own';
  if (type !== 'float32') return `its data is ${type}`;
  for (const matcher of MATCHERS) {
    const result = matcher(node, facts);
    if (result !== undefined) return result;
  }
  return `${node.op} has no quantized form`;
}

interface Demands {
  /** Tensors that exist as codes, each with the chain that makes it of another, if any. */
  readonly needed: ReadonlyMap<string, { ref: TensorRef; chain?: Chain }>;
  /** What is computed of a tensor. */
  readonly readers: ReadonlyMap<string, readonly TensorRef[]>;
  /** Tensors that a node of a layer on real values reads. */
  readonly floatReads: ReadonlySet<string>;
}

/** Works backwards from the outputs: what is in the middle of a chain is never computed. */
function findDemands(
  region: readonly GraphNode[],
  outputs: readonly TensorRef[],
  candidates: ReadonlyMap<string, Quantizable>,
  isFloatInOut: (node: string) => boolean,
): Demands {
  const inside = new Set(region.map((n) => n.name));
  const chains = findChains(
    region.filter(({ name }) => !isFloatInOut(name)),
    candidates,
  );
  const needed = new Map<string, { ref: TensorRef; chain?: Chain }>();
  const readers = new Map<string, TensorRef[]>();
  const floatReads = new Set<string>();
  const queue = [...outputs];
  for (const ref of outputs) needed.set(refKey(ref), { ref });
  for (let ref = queue.pop(); ref; ref = queue.pop()) {
    if (!inside.has(ref.node)) continue;
    const chain = chains.get(refKey(ref));
    if (chain) needed.set(refKey(ref), { ref, chain });
    for (const read of chain ? [chain.root] : candidates.get(ref.node)!.activations) {
      const key = refKey(read);
      readers.set(key, [...(readers.get(key) ?? []), ref]);
      if (isFloatInOut(ref.node)) floatReads.add(key);
      if (needed.has(key)) continue;
      needed.set(key, { ref: read });
      queue.push(read);
    }
  }
  return { needed, readers, floatReads };
}

/**
 * Tensors that are stored as real values, by key: results that leave the region, and what only ops read that take real
 * values to such a result, or that layers on real values read. Rounding logits to 8 bits before a softmax, say,
 * would gain nothing.
 */
function storedAsFloats(
  nodes: readonly GraphNode[],
  { needed, readers, floatReads }: Demands,
  fused: ReadonlySet<string>,
  candidates: ReadonlyMap<string, Quantizable>,
  isFloatInOut: (node: string) => boolean,
): Set<string> {
  const stored = new Set<string>();
  const canStore = (ref: TensorRef): boolean => {
    if (isFloatInOut(ref.node)) return true;
    const chain = needed.get(refKey(ref))?.chain;
    if (chain && !(chain.clamp && fused.has(refKey(chain.root)))) return false;
    const quantizable = candidates.get((chain?.root ?? ref).node);
    if (quantizable?.storesFloat !== 'as read') return quantizable?.storesFloat === true;
    const [read] = quantizable.activations;
    return readers.get(refKey(read))!.length === 1 && canStore(read);
  };
  const takesFloats = (reader: TensorRef) => {
    const key = refKey(reader);
    return !needed.get(key)!.chain && candidates.get(reader.node)!.readsFloat === true && stored.has(key);
  };
  for (const ref of nodes.toReversed().map((n) => output(n.name))) {
    const key = refKey(ref);
    const reading = readers.get(key) ?? [];
    const wanted = floatReads.has(key) || reading.every(takesFloats);
    if (needed.has(key) && wanted && canStore(ref)) stored.add(key);
  }
  return stored;
}

function planRegion(
  graph: Graph,
  nodes: readonly GraphNode[],
  matched: ReadonlyMap<string, Quantizable>,
  precisions: ReadonlyMap<string, ActivationPrecision>,
): Region {
  const isFloatInOut = (name: string) => precisions.has(name);
  const outputs = regionOutputs(graph, nodes).map((n) => output(n.name));
  const leaving = new Set(outputs.map(refKey));
  const inside = new Set(nodes.map((n) => n.name));
  const candidates = new Map([...matched, ...findFloatChains(nodes, matched, isFloatInOut, leaving)]);
  const demands = findDemands(nodes, outputs, candidates, isFloatInOut);
  const { needed, readers } = demands;
  const inputs = [...needed.values()].filter(({ ref }) => !inside.has(ref.node)).map(({ ref }) => ref);

  const takesIn = (root: TensorRef, floatInOut: boolean): boolean => {
    const key = refKey(root);
    return (
      inside.has(root.node) &&
      candidates.get(root.node)?.fuses === true &&
      readers.get(key)?.length === 1 &&
      isFloatInOut(root.node) === floatInOut &&
      !leaving.has(key)
    );
  };
  /** What a node on real values clamps, if it does nothing else. */
  const clampedBy = ({ node }: TensorRef): TensorRef | undefined => {
    const { pointwise, activations } = candidates.get(node)!;
    return isFloatInOut(node) && pointwise?.clamp ? activations[0] : undefined;
  };
  const fused = new Set(
    [...needed.values()].flatMap(({ ref, chain }) => {
      if (!inside.has(ref.node)) return [];
      const root = chain?.root ?? clampedBy(ref);
      return root && takesIn(root, !chain) ? [refKey(root)] : [];
    }),
  );

  const floats = storedAsFloats(nodes, demands, fused, candidates, isFloatInOut);
  const steps: Step[] = [];
  const observed = new Map(inputs.map((ref) => [refKey(ref), ref]));
  for (const { name } of nodes) {
    const ref = output(name);
    const key = refKey(ref);
    const need = needed.get(key);
    if (!need || fused.has(key)) continue;
    const { chain } = need;
    observed.set(key, ref);
    if (isFloatInOut(name)) {
      const clamped = clampedBy(ref);
      const taken = clamped !== undefined && fused.has(refKey(clamped));
      const own = taken ? clamped.node : name;
      const clamp = taken ? candidates.get(name)!.pointwise!.clamp : undefined;
      steps.push({
        kind: 'floatInOut',
        node: graph.nodes.get(own)!,
        quantizable: candidates.get(own)!,
        result: ref,
        form: { precision: precisions.get(own)!, ...(clamp && { clamp }) },
      });
      continue;
    }
    if (chain && !fused.has(refKey(chain.root))) {
      steps.push({ kind: 'lookup', from: chain.root, to: ref, f: chain.f });
      continue;
    }
    const own = chain ? chain.root.node : name;
    const quantizable = candidates.get(own)!;
    const node = quantizable.computes ?? graph.nodes.get(own)!;
    if (chain) observed.set(refKey(chain.root), chain.root);
    steps.push({
      kind: 'op',
      node,
      quantizable,
      store: {
        result: ref,
        float: floats.has(key),
        ...(chain && { fused: { before: chain.root, f: chain.f, clamp: chain.clamp } }),
      },
    });
  }
  const sharedRanges = new Map<string, TensorRef>();
  for (const step of steps.toReversed()) {
    if (step.kind !== 'op' || !step.quantizable.movesOnly) continue;
    const { result } = step.store;
    for (const key of step.quantizable.activations.map(refKey)) {
      if (readers.get(key)?.length === 1 && !leaving.has(key)) {
        sharedRanges.set(key, sharedRanges.get(refKey(result)) ?? result);
      }
    }
  }
  return { nodes, inputs, outputs, steps, observed: [...observed.values()], sharedRanges };
}

/** Lets ops take in a scale and a shift of each channel that follow and that nothing else reads what is before. */
function takeInAffines(graph: Graph, candidates: Map<string, Quantizable>): void {
  const readers = consumers(graph);
  const outputs = outputNodes(graph);
  for (const [name, { affine, activations }] of candidates) {
    const [from] = activations;
    const producer = affine && candidates.get(from.node)?.withAffine;
    if (!producer || outputs.has(from.node) || readers.get(from.node)!.length > 1) continue;
    candidates.set(name, producer(affine));
  }
}

export interface PlanOptions {
  /** Nodes to leave in float, each with the reason. */
  readonly float?: ReadonlyMap<string, string>;
  /** Nodes that run on real values, where they have such a form. */
  readonly precisions?: ReadonlyMap<string, ActivationPrecision>;
  /** Makes regions of ops without weights too, which no speed is gained by, to see what they cost in accuracy. */
  readonly weightless?: boolean;
}

/** Plans the quantization of an optimized graph, without any data. */
export function planQuantization(graph: Graph, options: PlanOptions = {}): QuantizationPlan {
  const shapes = inferShapes(graph);
  const types = resultTypes(graph);
  const several = severalOutputs(graph);
  const inControlFlow = nodesInControlFlow(graph);
  const beforeLogarithm = nodesBeforeLogarithm(graph);
  const candidates = new Map<string, Quantizable>();
  const float = new Map<string, string>();
  for (const node of graph.nodes.values()) {
    if (isSource(node)) continue;
    const result =
      options.float?.get(node.name) ??
      inControlFlow.get(node.name) ??
      beforeLogarithm.get(node.name) ??
      (several.has(node.name)
        ? 'more than its first output is read'
        : match(node, { graph, shapes }, types.get(node.name)!));
    if (typeof result === 'string') float.set(node.name, result);
    else candidates.set(node.name, result);
  }
  takeInAffines(graph, candidates);
  const { regions, left, precisions } = outlineRegions(graph, candidates, options);
  for (const [name, reason] of left) float.set(name, reason);
  const planned = regions.map((nodes) => planRegion(graph, nodes, candidates, precisions));
  const inRegions = new Set(regions.flat().map(({ name }) => name));
  return {
    regions: planned,
    shapes,
    float,
    outside: new Set(left.keys()),
    precisions: new Map([...precisions].filter(([name]) => inRegions.has(name))),
  };
}

/** Why nodes stay float whatever runs on real values: those that were left out of a region may then be part of one. */
export function floatAnyway({ float, outside }: QuantizationPlan): Map<string, string> {
  return new Map([...float].filter(([name]) => !outside.has(name)));
}
