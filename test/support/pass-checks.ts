/** What tests of rewrite passes share: small graphs, and a check that a pass keeps the function of a graph. */
import { attr } from '../../src/graph/attrs';
import type { Graph } from '../../src/graph/ir';
import type { Pass, PassResult } from '../../src/passes/pass';
import { removeDeadNodes } from '../../src/passes/remove-dead-nodes';
import { expectSameFunction, FloatGraph, ops, windowAttrs } from './float-graph';
import type { Random } from './random';

/** image [-1, 6, 6, 3] -> conv 3x3 to 4 channels. */
export function convolution(random: Random): FloatGraph {
  return new FloatGraph(random)
    .input('image', [-1, 6, 6, 3])
    .weights('filter', [3, 3, 3, 4])
    .node('conv', 'Conv2D', ['image', 'filter'], windowAttrs());
}

export const normAttrs = { epsilon: attr.float(1e-3), is_training: { b: false } };

export function withNorm(graph: FloatGraph, name: string, input: string, channels = 4): FloatGraph {
  return graph
    .weights(`${name}/gamma`, [channels], 0.5, 2)
    .weights(`${name}/beta`, [channels])
    .weights(`${name}/mean`, [channels])
    .weights(`${name}/variance`, [channels], 0.1, 3)
    .node(
      name,
      'FusedBatchNormV3',
      [input, `${name}/gamma`, `${name}/beta`, `${name}/mean`, `${name}/variance`],
      normAttrs,
    );
}

/** Runs a pass, and expects TF.js to compute the same with its result. */
export async function applyPass(
  pass: Pick<Pass, 'apply'>,
  graph: Graph,
  random: Random,
): Promise<PassResult & { live: string[] }> {
  const result = pass.apply(graph);
  await expectSameFunction(graph, result.graph, random);
  return { ...result, live: ops(removeDeadNodes.apply(result.graph).graph) };
}

/** Why a pass left nodes alone. */
export function declined({ changes }: PassResult): string[] {
  return changes.filter((c) => c.action === 'declined').map((c) => c.detail);
}
