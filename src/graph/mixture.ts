/**
 * The op of a mixture-of-experts layer.
 *
 * Inputs: x [.., width]; gate [width, experts]; and, where experts are weights of the graph: up [experts, width, hidden],
 * its bias [experts, hidden], down [experts, hidden, width], its bias [experts, width]. Where they are in a file beside the
 * graph, the attribute `layer` is the number of the layer in the file, and `store` that of the open file. Attributes: `topK`, and with
 * experts in the graph `activation`: none, relu or silu.
 */
import type { Graph, GraphNode } from './ir';

export const MIXTURE_OP = 'MixtureOfExperts';

/** The file of experts beside model.json. */
export const EXPERTS_FILE = 'experts.lbme';

export const MIXTURE_ACTIVATIONS = ['none', 'relu', 'silu'] as const;

export type MixtureActivation = (typeof MIXTURE_ACTIVATIONS)[number];

/** The nodes whose experts are weights of the graph. */
export function mixturesOf(graph: Pick<Graph, 'nodes'>): GraphNode[] {
  return [...graph.nodes.values()].filter(({ op, attrs }) => op === MIXTURE_OP && !attrs.layer);
}
