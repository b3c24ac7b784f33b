/** Running a converted graph in memory without a copy of its weights in TF.js, see `held-weights.ts`. */
import type { Constant, Graph } from '../graph/ir';
import { copyBytes } from '../graph/stored-constants';
import { constantBytes } from '../graph/weights';
import type { WeightReader } from '../runtime/engine';
import { holdWeights } from '../runtime/held-weights';
import { regionsOf } from './layer-tensors';

/** Reads the weights of a program without a copy of them all. */
export function readerOf(constant: Constant): WeightReader {
  return {
    byteLength: constantBytes(constant),
    read: (offset, into) => copyBytes(constant, offset, into),
    compiled() {},
  };
}

/** Runs something with a graph whose quantized programs read their weights from the constants of this one. */
export async function withHeldRegions<T>(graph: Graph, body: (held: Graph) => Promise<T>): Promise<T> {
  const constants = new Map(graph.constants);
  const readers: WeightReader[] = [];
  for (const { inputs } of regionsOf(graph)) {
    const { node } = inputs.at(-1)!;
    const reader = readerOf(graph.constants.get(node)!);
    const token = holdWeights(reader);
    constants.set(node, { dtype: 'int32', shape: [token.length], values: token });
    readers.push(reader);
  }
  try {
    return await body({ ...graph, constants });
  } finally {
    // What reads the weights must live until here.
    readers.length = 0;
  }
}
