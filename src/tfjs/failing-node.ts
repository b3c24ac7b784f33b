import { output } from '../graph/edit';
import type { Graph, GraphNode, TensorRef } from '../graph/ir';

/**
 * Finds the first node, in topological order, that a graph cannot be run to: by halves, as a run to several nodes fails
 * where one of them does.
 *
 * @param run runs the graph to tensors
 * @returns undefined where the graph runs to every node alone
 */
export async function findFailingNode(
  graph: Graph,
  run: (refs: readonly TensorRef[]) => Promise<void>,
): Promise<GraphNode | undefined> {
  const nodes = [...graph.nodes.values()].filter(({ op }) => op !== 'Const' && op !== 'NoOp');
  const fails = async (count: number) => {
    try {
      await run(nodes.slice(0, count).map(({ name }) => output(name)));
      return false;
    } catch {
      return true;
    }
  };
  if (!(await fails(nodes.length))) return undefined;
  let [good, bad] = [0, nodes.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (await fails(middle)) bad = middle;
    else good = middle;
  }
  return nodes[bad - 1];
}
