/** The rewrites that precede quantization, in order. */
import type { Graph } from '../graph/ir';
import { castBooleans } from './cast-booleans';
import { decomposeEinsum } from './decompose-einsum';
import { decomposeTransposedConvolution } from './decompose-transposed-convolution';
import { foldBatchNorm } from './fold-batch-norm';
import { foldBias } from './fold-bias';
import { foldConstants } from './fold-constants';
import { foldFakeQuantization } from './fold-fake-quantization';
import { foldPadding } from './fold-padding';
import { foldShapes } from './fold-shapes';
import { foldSpaceToBatch } from './fold-space-to-batch';
import { fuseActivations } from './fuse-activations';
import { packToConcat } from './pack-to-concat';
import type { Change, Pass, PassResult } from './pass';
import { removeDeadNodes } from './remove-dead-nodes';
import { removeIdentities } from './remove-identities';
import { sinkLayoutOps } from './sink-layout-ops';
import { splitActivations } from './split-activations';
import { splitProducts } from './split-products';
import { splitSums } from './split-sums';
import { splitToSlices } from './split-to-slices';
import { unrollLoops } from './unroll-loops';

export const PIPELINE: readonly Pass[] = [
  splitActivations,
  foldConstants,
  foldShapes,
  removeIdentities,
  splitProducts,
  unrollLoops,
  packToConcat,
  decomposeEinsum,
  foldFakeQuantization,
  foldSpaceToBatch,
  foldPadding,
  splitToSlices,
  decomposeTransposedConvolution,
  sinkLayoutOps,
  splitSums,
  foldBias,
  foldBatchNorm,
  fuseActivations,
  castBooleans,
  removeDeadNodes,
];

/**
 * Runs the pipeline until it changes nothing: a folded bias may uncover a batch norm, and that another bias. Every
 * rewrite removes a node, or splits one that no pass joins again, so this ends.
 *
 * @returns the graph, every rewrite in order, and the reasons of the last round for what was left alone
 */
export function optimize(graph: Graph): PassResult {
  const rewrites: Change[] = [];
  let current = graph;
  for (;;) {
    const round: Change[] = [];
    for (const pass of PIPELINE) {
      const result = pass.apply(current);
      current = result.graph;
      round.push(...result.changes);
    }
    const rewrote = round.filter((c) => c.action === 'rewrote');
    rewrites.push(...rewrote);
    if (rewrote.length === 0) return { graph: current, changes: [...rewrites, ...round] };
  }
}
