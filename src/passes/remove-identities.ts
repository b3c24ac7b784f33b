/**
 * Removal of ops that do nothing at inference: f(x) = x.
 *
 * Pattern: Identity, Snapshot, StopGradient, PreventGradient, CheckNumerics, Dropout.
 * Replacement: their consumers read their input.
 * Declines: an output of the model keeps its node, and with it its name.
 */
import { GraphEditor, output, outputNodes } from '../graph/edit';
import type { Graph } from '../graph/ir';
import { ChangeLog, type Pass } from './pass';

const IDENTITIES = new Set([
  'Identity',
  'Snapshot',
  'StopGradient',
  'PreventGradient',
  'CheckNumerics',
  'Dropout',
]);

export const removeIdentities: Pass = {
  name: 'remove-identities',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const editor = new GraphEditor(graph);
    const kept = outputNodes(graph);
    for (const { name } of graph.nodes.values()) {
      const node = editor.nodes.get(name)!;
      if (!IDENTITIES.has(node.op) || kept.has(name)) continue;
      editor.replaceUses(output(name), node.inputs[0]);
      editor.remove(name);
      log.rewrote(name, `removed ${node.op}`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
