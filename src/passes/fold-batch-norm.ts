/**
 * Batch-norm folding: a linear op followed by a per-channel scale and shift is a linear op.
 *
 * Identity: a * (w . x + b) + c = (a w) . x + (a b + c); for batch norm (Ioffe and Szegedy 2015, equation at inference)
 * a = gamma / sqrt(variance + epsilon), c = beta - mean * a.
 * Pattern: FusedBatchNorm (V2, V3) or a product or quotient with a constant, after a linear op with constant weights.
 * Replacement: the linear op with new weights and bias, under the name of the node that it absorbs. The old weights
 * stay for other users.
 * Declines: another consumer of the linear op, an output in between, a clamp in between, training statistics.
 */
import { boolAttr, numberAttr } from '../graph/attrs';
import { constantOf, GraphEditor } from '../graph/edit';
import type { Constant, Graph, GraphNode, TensorRef } from '../graph/ir';
import { derivedConstant } from '../graph/stored-constants';
import { isInfinite } from '../graph/weights';
import { filterChannel, foldableLinearOp, type LinearOp, perChannel, writeLinearOp } from './linear-op';
import { ChangeLog, type Pass } from './pass';

/** What TF.js takes where the graph has none; TensorFlow's own default is 1e-4. */
const DEFAULT_EPSILON = 1e-3;

/** y = scale[c] * x + shift[c] */
export interface ChannelAffine {
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

export const BATCH_NORMS: ReadonlySet<string> = new Set([
  'FusedBatchNorm',
  'FusedBatchNormV2',
  'FusedBatchNormV3',
]);

/** A batch norm of constants as a scale and a shift; undefined if it is anything else. */
export function batchNormAffine(graph: Pick<Graph, 'constants'>, node: GraphNode): ChannelAffine | undefined {
  const parameters = node.inputs.slice(1).map((i) => constantOf(graph, i));
  const channels = parameters[0]?.values.length ?? 0;
  const [gamma, beta, mean, variance] = parameters.map((p) => perChannel(p, channels));
  if (!gamma || !beta || !mean || !variance || boolAttr(node, 'is_training')) return undefined;
  const epsilon = numberAttr(node, 'epsilon') ?? DEFAULT_EPSILON;
  const scale = Float64Array.from(gamma, (g, c) => g / Math.sqrt(variance[c] + epsilon));
  return { scale, shift: Float64Array.from(beta, (b, c) => b - mean[c] * scale[c]) };
}

/** The tensor that a node scales and the constant it scales it by. */
function scaling(
  graph: Pick<Graph, 'constants'>,
  node: GraphNode,
): { input: TensorRef; by: Constant; inverse: boolean } | undefined {
  const [a, b] = node.inputs;
  if (node.op !== 'Mul' && node.op !== 'RealDiv') return undefined;
  const inverse = node.op === 'RealDiv';
  const [left, right] = [constantOf(graph, a), constantOf(graph, b)];
  if (right && !left) return { input: a!, by: right, inverse };
  return left && !right && !inverse ? { input: b!, by: left, inverse } : undefined;
}

function affineOf(graph: Pick<Graph, 'constants'>, node: GraphNode, op: LinearOp): ChannelAffine | undefined {
  if (BATCH_NORMS.has(node.op)) return batchNormAffine(graph, node);
  const match = scaling(graph, node);
  const rank = op.kind === 'matmul' ? 2 : 4;
  if (!match || match.by.shape.length > rank) return undefined;
  const by = perChannel(match.by, op.channels);
  return (
    by && {
      scale: Float64Array.from(by, (v) => (match.inverse ? 1 / v : v)),
      shift: new Float64Array(op.channels),
    }
  );
}

function apply(op: LinearOp, { scale, shift }: ChannelAffine): LinearOp {
  const channel = filterChannel(op);
  const filter = derivedConstant(op.filter, (value, i) => value * scale[channel(i)]);
  const bias = Float32Array.from(shift, (s, c) => (op.bias?.[c] ?? 0) * scale[c] + s);
  const plain = !op.bias && bias.every((b) => b === 0);
  return { ...op, filter, ...(!plain && { bias }) };
}

export const foldBatchNorm: Pass = {
  name: 'fold-batch-norm',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const editor = new GraphEditor(graph);
    for (const node of graph.nodes.values()) {
      const input = BATCH_NORMS.has(node.op) ? node.inputs[0] : scaling(editor, node)?.input;
      if (!input) continue;
      const statistics = editor
        .readers(node.name)
        .some((n) => n.inputs.some((i) => i.node === node.name && i.index > 0));
      const op = foldableLinearOp(editor, input);
      const affine = typeof op === 'string' ? undefined : affineOf(editor, node, op);
      if (typeof op === 'string' || !affine || statistics) {
        const reason =
          typeof op === 'string'
            ? op
            : statistics
              ? 'its statistics are read'
              : 'its parameters are not constant vectors';
        if (BATCH_NORMS.has(node.op) || typeof op !== 'string')
          log.declined(node.name, `not folded: ${reason}`);
        continue;
      }
      const folded = apply(op, affine);
      if (isInfinite(folded.filter) || !(folded.bias ?? []).every(Number.isFinite)) {
        log.declined(node.name, 'not folded: the folded weights would not be finite');
        continue;
      }
      editor.remove(op.node.name);
      writeLinearOp(editor, node.name, folded);
      log.rewrote(node.name, `folded ${node.op} into '${op.node.name}'`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
