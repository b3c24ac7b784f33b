/** Whether a node has a form in the quantized program: the matchers, and what they all require. */
import type { DType, GraphNode } from '../../../graph/ir';
import { MIXTURE_OP } from '../../../graph/mixture';
import { matchBatchMatMul } from './batch-matmul';
import { matchConcat } from './concat';
import { matchElementwise } from './elementwise';
import { matchLayout } from './layout';
import { matchPointwise } from './pointwise';
import { matchPooling } from './pooling';
import { matchPrelu } from './prelu';
import type { Facts, Matcher, Quantizable } from './quantizable';
import { matchReshape } from './reshape';
import { matchResize } from './resize';
import { matchSoftmax } from './softmax';
import { matchTransposedConvolution } from './transposed-convolution';
import { matchWeighted } from './weighted';

/** The first with an answer decides. */
const MATCHERS: readonly Matcher[] = [
  matchBatchMatMul,
  matchWeighted,
  matchTransposedConvolution,
  matchPooling,
  matchPointwise,
  matchElementwise,
  matchPrelu,
  matchResize,
  matchReshape,
  matchConcat,
  matchLayout,
  matchSoftmax,
];

/**
 * @param type of the node's result
 * @returns its form in the program, or why it has none
 */
export function matchNode(node: GraphNode, facts: Facts, type: DType): Quantizable | string {
  if (node.op === 'Identity') return 'it only names an output';
  if (node.op === MIXTURE_OP) return 'convert packs its experts into a file of their own';
  if (type !== 'float32') return `its data is ${type}`;
  for (const matcher of MATCHERS) {
    const result = matcher(node, facts);
    if (result !== undefined) return result;
  }
  return `${node.op} has no quantized form`;
}
