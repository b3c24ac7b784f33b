/**
 * Nodes in branches and loops stay float: a region runs as a whole, and must not contain both what runs and what does not.
 *
 * Switch opens a branch and Merge closes it; Enter opens a loop, in which Switch opens the body, and Exit closes both.
 */
import type { Graph, GraphNode } from '../../../graph/ir';

const FUNCTIONAL: ReadonlySet<string> = new Set(['If', 'StatelessIf', 'While', 'StatelessWhile']);

const OPENS: Readonly<Record<string, number>> = { Switch: 1, Enter: 1, Exit: -2 };

function isLoopMerge(graph: Graph, node: GraphNode): boolean {
  return node.inputs.some((input) => ['Enter', 'NextIteration'].includes(graph.nodes.get(input.node)!.op));
}

/** Why nodes stay float, by name. */
export function nodesInControlFlow(graph: Graph): Map<string, string> {
  const reasons = new Map<string, string>();
  const depths = new Map<string, number>();
  for (const node of graph.nodes.values()) {
    const reads = [...node.inputs.map((i) => i.node), ...(node.controlInputs ?? [])];
    const deepest = Math.max(0, ...reads.map((name) => depths.get(name) ?? 0));
    const closes = node.op === 'Merge' && !isLoopMerge(graph, node) ? -1 : 0;
    const depth = Math.max(0, deepest + (OPENS[node.op] ?? 0) + closes);
    depths.set(node.name, depth);
    if (FUNCTIONAL.has(node.op)) reasons.set(node.name, 'its functions stay as they are: control flow');
    else if (depth > 0 || node.op in OPENS || node.op === 'Merge')
      reasons.set(node.name, 'it is part of control flow');
  }
  return reasons;
}
