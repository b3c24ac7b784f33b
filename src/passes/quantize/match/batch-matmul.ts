/**
 * Matrix products that are not dense layers: of two activations; of an activation and a constant. A constant of a single
 * matrix, which multiplies every matrix of a batch, is quantized as weights with a scale a channel.
 */
import { entryOf } from '../../../base/entry-of';
import { boolAttr } from '../../../graph/attrs';
import { constantOf, output, refKey } from '../../../graph/edit';
import type { Constant, GraphNode, TensorRef } from '../../../graph/ir';
import { Granularity, OpKind } from '../../../program/program';
import { UNBOUNDED } from '../../../quantization/activation';
import { fitsInt16 } from '../../../quantization/int16-filter';
import { linearKind, readLinearOp } from '../../linear-op';
import { reorderForNow } from '../lower/filter-order';
import { appendConstant } from '../lower/filters';
import { storeResult } from '../lower/store';
import { quantizeDynamicWeights, quantizeInt16Weights, quantizeWeights } from '../lower/weights';
import type { Facts, Matcher, MatrixProduct, WeightedLayer } from './quantizable';

const PRODUCTS = new Set(['MatMul', 'BatchMatMul', 'BatchMatMulV2']);

interface Product {
  readonly node: GraphNode;
  readonly operands: readonly TensorRef[];
  readonly constants: readonly (Constant | undefined)[];
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** x . w for a single matrix w, [in, out] or [out, in] transposed, on the last axis of x. */
function linear({ node, operands, transposeB }: Product, matrix: Constant): WeightedLayer {
  const [rows, columns] = matrix.shape.slice(-2);
  const [inFeatures, outFeatures] = transposeB ? [columns, rows] : [rows, columns];
  const [input] = operands;
  const weightsOf = () => ({
    node: node.name,
    input,
    values: () =>
      reorderForNow({ kind: 'matmul', filter: matrix, transposed: transposeB, channels: outFeatures }),
    channels: outFeatures,
    outputChannel: (i: number) => Math.floor(i / inFeatures),
    inputChannel: (i: number) => i % inFeatures,
  });
  const common = { kind: OpKind.Linear, name: node.name, inFeatures, outFeatures } as const;
  return {
    kind: 'weighted',
    activations: [input],
    overflowsInt16: !fitsInt16(inFeatures),
    lowerFloat(builder, result, { precision, clamp = UNBOUNDED }) {
      const int16 = precision === 'int16';
      const inputs = [int16 ? builder.readInt16(input) : builder.readDynamic(input, Granularity.Row)];
      const quantized = int16 ? quantizeInt16Weights : quantizeDynamicWeights;
      const filter = quantized(weightsOf(), builder);
      const [floatMin, floatMax] = clamp;
      const output = builder.floatResult(result);
      builder.op({ ...common, inputs, filter, output, activation: { floatMin, floatMax } });
    },
    lower(builder, store) {
      const filter = quantizeWeights(weightsOf(), builder);
      builder.op({ ...common, inputs: [builder.read(input)], filter, ...storeResult(builder, store) });
    },
  };
}

function batched({ node, operands, constants, transposeA, transposeB }: Product): MatrixProduct {
  return {
    kind: 'matrixProduct',
    activations: operands.filter((_, i) => !constants[i]),
    lower(builder, store) {
      const inputs = operands.map((ref, i) =>
        constants[i] ? appendConstant(builder, node.name, constants[i]) : builder.read(ref),
      );
      const { name } = node;
      builder.op({
        kind: OpKind.BatchMatMul,
        name,
        inputs,
        transposeA,
        transposeB,
        ...storeResult(builder, store),
      });
    },
  };
}

export const matchBatchMatMul: Matcher = (node, { graph, shapes }: Facts) => {
  if (!PRODUCTS.has(node.op)) return undefined;
  if (linearKind(node) && typeof readLinearOp(graph, node) !== 'string') return undefined;
  const operands = node.inputs.slice(0, 2);
  const constants = operands.map((ref) => constantOf(graph, ref));
  if (constants.every((constant) => constant)) return 'both of its matrices are constant';
  if ([...operands, output(node.name)].some((ref) => !shapes.get(refKey(ref))))
    return 'the shapes of its inputs are not known';
  const product: Product = {
    node,
    operands,
    constants,
    transposeA: boolAttr(node, 'transpose_a') || boolAttr(node, 'adj_x'),
    transposeB: boolAttr(node, 'transpose_b') || boolAttr(node, 'adj_y'),
  };
  const [, matrix] = constants;
  const single = matrix?.shape.slice(0, -2).every((d) => d === 1);
  const rank = entryOf(shapes, refKey(operands[0])).length;
  return matrix && single && matrix.shape.length <= rank && !product.transposeA
    ? linear(product, matrix)
    : batched(product);
};
