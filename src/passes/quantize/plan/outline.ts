/**
 * Outlining: which nodes run together as one quantized program.
 *
 * A region must be convex: no path may leave it and come back, or its node would wait for itself. Every node gets the
 * largest number of times that a path to it leaves the quantizable nodes; an edge never lowers it and leaving raises
 * it, so nodes of equal number that are joined by edges form a convex region, and regions depend on each other without
 * cycles.
 */
import { entryOf } from '../../../base/entry-of';
import { consumers } from '../../../graph/edit';
import type { Graph, GraphNode } from '../../../graph/ir';
import type { ActivationPrecision, Quantizable } from '../match/quantizable';
import type { Candidates } from './candidates';
import { whyFloatAtEnd } from './capabilities';

/** What reads each node, by name. */
export type Readers = ReadonlyMap<string, readonly GraphNode[]>;

function depths(graph: Graph, candidates: Candidates): Map<string, number> {
  const depth = new Map<string, number>();
  for (const node of graph.nodes.values()) {
    let deepest = 0;
    for (const name of [...node.inputs.map((i) => i.node), ...(node.controlInputs ?? [])]) {
      const leaves = candidates.has(name) && !candidates.has(node.name);
      deepest = Math.max(deepest, (depth.get(name) ?? 0) + (leaves ? 1 : 0));
    }
    depth.set(node.name, deepest);
  }
  return depth;
}

/** The nodes that a candidate computes something of: those that it reads, and a layer that is fused into it. */
function sourcesOf(candidate: Quantizable): string[] {
  const layerNode = candidate.kind === 'weighted' ? candidate.layerNode : undefined;
  return [...candidate.activations.map((ref) => ref.node), ...(layerNode ? [layerNode.name] : [])];
}

/** Sets of nodes that are joined by edges of equal depth. */
function components(graph: Graph, candidates: Candidates): GraphNode[][] {
  const depth = depths(graph, candidates);
  const parent = new Map<string, string>();
  const find = (name: string): string => {
    let root = name;
    while (parent.get(root) !== root) root = entryOf(parent, root);
    for (let at = name; at !== root; ) {
      const next = entryOf(parent, at);
      parent.set(at, root);
      at = next;
    }
    return root;
  };
  const members = [...graph.nodes.values()].filter((n) => candidates.has(n.name));
  for (const node of members) {
    parent.set(node.name, node.name);
    for (const input of sourcesOf(entryOf(candidates, node.name))) {
      if (candidates.has(input) && depth.get(input) === depth.get(node.name))
        parent.set(find(input), find(node.name));
    }
  }
  const groups = new Map<string, GraphNode[]>();
  for (const node of members) {
    const root = find(node.name);
    const group = groups.get(root);
    if (group) group.push(node);
    else groups.set(root, [node]);
  }
  return [...groups.values()];
}

/**
 * Removes from a region's end what is better computed in float: the op before it can store float32 itself. A node that
 * reads float32 only stays, and gets float32 input and output.
 *
 * @param precisions gets the nodes that stay so
 */
function trimFloatEnds(
  readers: Readers,
  region: readonly GraphNode[],
  candidates: Candidates,
  precisions: Map<string, ActivationPrecision>,
): GraphNode[] {
  const kept = new Set(region.map((n) => n.name));
  for (const node of region.toReversed()) {
    const inside = readers.get(node.name)?.some((n) => kept.has(n.name));
    if (whyFloatAtEnd(entryOf(candidates, node.name)) && !inside) kept.delete(node.name);
  }
  for (const { name } of region) {
    const { activations, lowerFloat } = entryOf(candidates, name);
    if (
      kept.has(name) ||
      !lowerFloat ||
      !activations.every(({ node }) => kept.has(node) && precisions.has(node))
    )
      continue;
    kept.add(name);
    precisions.set(name, entryOf(precisions, activations[0].node));
  }
  return region.filter((n) => kept.has(n.name));
}

export interface Outline {
  /** Nodes of each region, in topological order. */
  readonly regions: readonly (readonly GraphNode[])[];
  /** Why a quantizable node is in no region, by name. */
  readonly leftOut: ReadonlyMap<string, string>;
  /** Nodes with float32 input and output, by name. */
  readonly precisions: ReadonlyMap<string, ActivationPrecision>;
  /** Why a node that multiplies does not have the precision that was requested of it, by name. */
  readonly refused: ReadonlyMap<string, string>;
}

export interface OutlineOptions {
  /** Nodes that get float32 input and output where they have such a form, by name. */
  readonly precisions?: ReadonlyMap<string, ActivationPrecision>;
  /** Keeps every group whole, with or without weights. */
  readonly weightless?: boolean;
}

/** Why a node cannot have int16 or dynamic activations. */
export function whyNot(candidate: Quantizable, precision: ActivationPrecision): string | undefined {
  if (precision === 'int16' && candidate.kind === 'weighted' && candidate.overflowsInt16)
    return 'its sums do not fit 32 bits with int16 activations';
  return candidate.lowerFloat ? undefined : `it has no form with ${precision} activations`;
}

export function multiplies({ kind }: Quantizable): boolean {
  return kind === 'weighted' || kind === 'matrixProduct';
}

/** Finds the largest regions that are worth a program: those that multiply by weights. */
export function outlineRegions(
  graph: Graph,
  candidates: Candidates,
  { precisions: requested = new Map(), weightless = false }: OutlineOptions = {},
): Outline {
  const leftOut = new Map<string, string>();
  const reasons = [...requested].map(([name, precision]) => {
    const candidate = candidates.get(name);
    return { name, precision, candidate, reason: candidate && whyNot(candidate, precision) };
  });
  const granted = reasons.filter(({ candidate, reason }) => candidate && reason === undefined);
  const precisions = new Map(granted.map(({ name, precision }) => [name, precision] as const));
  const refused = reasons.flatMap(({ name, candidate, reason }) =>
    reason !== undefined && candidate && multiplies(candidate) ? [[name, reason] as const] : [],
  );
  const regions: GraphNode[][] = [];
  const readers = consumers(graph);
  for (const group of components(graph, candidates)) {
    const region = weightless ? group : trimFloatEnds(readers, group, candidates, precisions);
    const worth = weightless || region.some((n) => entryOf(candidates, n.name).kind === 'weighted');
    if (worth) regions.push(region);
    const kept = new Set(worth ? region.map((n) => n.name) : []);
    for (const { name } of group) {
      if (!kept.has(name))
        leftOut.set(name, worth ? whyFloatAtEnd(entryOf(candidates, name))! : 'no weighted op is next to it');
    }
  }
  return { regions, leftOut, precisions, refused: new Map(refused) };
}

/** Nodes of a region that something outside it reads, or that are outputs of the model. */
export function regionOutputs(
  outputs: ReadonlySet<string>,
  readers: Readers,
  region: readonly GraphNode[],
): GraphNode[] {
  const inside = new Set(region.map((n) => n.name));
  return region.filter((n) => outputs.has(n.name) || readers.get(n.name)?.some((r) => !inside.has(r.name)));
}
