/**
 * Removal of what no output depends on. Inputs of the signature stay, read or not; so do weights that belong to no node
 * of the graph (the model initializer's).
 */
import { entryOf } from '../base/entry-of';
import { outputNodes } from '../graph/edit';
import type { Graph } from '../graph/ir';
import { ChangeLog, type Pass } from './pass';

function reachable(graph: Graph): Set<string> {
  const live = new Set([...outputNodes(graph), ...graph.inputs.map((i) => i.ref.node)]);
  for (const name of live) {
    const node = entryOf(graph.nodes, name);
    for (const input of node.inputs) live.add(input.node);
    for (const control of node.controlInputs ?? []) live.add(control);
  }
  return live;
}

export const removeDeadNodes: Pass = {
  name: 'remove-dead-nodes',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const live = reachable(graph);
    for (const node of graph.nodes.values()) {
      if (!live.has(node.name)) log.rewrote(node.name, `removed ${node.op}: no output depends on it`);
    }
    if (log.changes.length === 0) return { graph, changes: [] };
    return {
      graph: {
        ...graph,
        nodes: new Map([...graph.nodes].filter(([name]) => live.has(name))),
        constants: new Map([...graph.constants].filter(([name]) => live.has(name) || !graph.nodes.has(name))),
      },
      changes: log.changes,
    };
  },
};
