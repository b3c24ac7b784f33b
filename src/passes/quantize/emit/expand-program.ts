/**
 * A program as graph nodes, one named kernel an op, for seeing every intermediate: codes travel as int32 tensors, and
 * the results are the program's to the bit. What the kernels have no attribute for, tables and unusual clamps, becomes
 * stock TF.js ops on the codes, which compute the same.
 */

import { attr } from '../../../graph/attrs';
import type { GraphEditor } from '../../../graph/edit';
import type { TensorRef } from '../../../graph/ir';
import { type BinaryKind, type Op, OpKind, type Program, TensorType } from '../../../program/program';
import { emitActivated, emitClampedFloat } from './activations';
import { affineAttrs, affineAttrsOfCodes, windowAttrs } from './kernel-attrs';
import { emitLayoutOp } from './layout-kernels';
import { NodeEmitter, type Operands, type OpOf } from './node-emitter';
import { emitFilterOp } from './weighted-kernels';

/** Ops that only a program has: no kernel of their own, and no stock ops that compute the same. */
const WITHOUT_KERNEL: ReadonlySet<OpKind> = new Set([
  OpKind.QuantizeInt16,
  OpKind.QuantizeDynamic,
  OpKind.QuantizeGrid,
  OpKind.FloatGate,
  OpKind.FloatFunction,
]);

export function canExpand({ ops }: Program): boolean {
  return !ops.some(({ kind }) => WITHOUT_KERNEL.has(kind));
}

function emitPool(
  emitter: NodeEmitter,
  op: OpOf<OpKind.MaxPool | OpKind.AvgPool>,
  { inputs, specs: [input], result }: Operands,
): TensorRef {
  const kernel = op.kind === OpKind.MaxPool ? 'QuantizedMaxPool' : 'QuantizedAvgPool';
  const float = result.type === TensorType.Float32;
  const attrs = {
    ...windowAttrs(op.window),
    filterSize: attr.ints(op.window.kernel),
    ...affineAttrs('input', input),
    ...(float ? { floatOutput: attr.bool(true) } : affineAttrs('output', result)),
  };
  const emit = () => emitter.node(op.name, kernel, inputs, attrs);
  if (float) return emitClampedFloat(emitter, op.name, op.activation, emit, ['linear']);
  const { codeMin = -128, codeMax = 127 } = op.activation;
  const clamps = codeMin !== -128 || codeMax !== 127;
  return clamps ? emitter.clampedCodes(op.name, emit(), codeMin, codeMax) : emit();
}

function emitBinary(
  emitter: NodeEmitter,
  op: OpOf<BinaryKind>,
  { inputs, specs: [a, b], result }: Operands,
): TensorRef {
  const operands = { ...affineAttrs('a', a), ...affineAttrs('b', b) };
  return emitActivated(emitter, op.name, result, op.activation, (attrs) =>
    emitter.node(op.name, `Quantized${OpKind[op.kind]}`, inputs, { ...operands, ...attrs }),
  );
}

function emitMatrixProduct(
  emitter: NodeEmitter,
  op: OpOf<OpKind.BatchMatMul>,
  { inputs, specs: [a, b], result }: Operands,
): TensorRef {
  const fixed = {
    ...affineAttrs('a', a),
    ...affineAttrs('b', b),
    transposeA: attr.bool(op.transposeA),
    transposeB: attr.bool(op.transposeB),
  };
  return emitActivated(emitter, op.name, result, op.activation, (attrs) =>
    emitter.node(op.name, 'QuantizedBatchMatMul', inputs, { ...fixed, ...attrs }),
  );
}

/** A stock op of float32 values and numbers, one or one a channel; the values where all of these change nothing. */
function emitArithmetic(
  emitter: NodeEmitter,
  name: string,
  op: string,
  x: TensorRef,
  numbers: Float32Array,
  neutral: number,
): TensorRef {
  if (numbers.every((number) => number === neutral)) return x;
  const operands = [x, emitter.constant(`${name}/${op}`, numbers)];
  return emitter.node(name, op, operands, { T: attr.dtype('float32') });
}

function emitFloatAffine(
  emitter: NodeEmitter,
  op: OpOf<OpKind.FloatAffine | OpKind.FloatGate>,
  [x]: readonly TensorRef[],
): TensorRef {
  const factors = emitter.floats(op.aOffset, op.channels);
  const product = emitArithmetic(emitter, op.name, 'Mul', x, factors, 1);
  const sum = emitArithmetic(emitter, op.name, 'AddV2', product, emitter.floats(op.bOffset, op.channels), 0);
  return emitClampedFloat(emitter, op.name, op, () => sum, ['linear']);
}

/** The node whose result is the op's. */
function emitOp(emitter: NodeEmitter, op: Op, operands: Operands): TensorRef {
  const { inputs, specs, result } = operands;
  const [input] = specs;
  switch (op.kind) {
    case OpKind.Quantize:
    case OpKind.Dequantize: {
      const { scale, zeroPoint } = op.kind === OpKind.Quantize ? result : input;
      return emitter.node(op.name, OpKind[op.kind], inputs, {
        scale: attr.float(scale),
        zeroPoint: attr.int(zeroPoint),
      });
    }
    case OpKind.Conv2D:
    case OpKind.DepthwiseConv2D:
    case OpKind.Linear:
    case OpKind.TransposedConv2D:
    case OpKind.LinearFloat:
    case OpKind.Gather:
      return emitFilterOp(emitter, op, operands);
    case OpKind.Concat:
    case OpKind.Reshape:
    case OpKind.Pad:
    case OpKind.Slice:
    case OpKind.Transpose:
    case OpKind.SpaceToDepth:
    case OpKind.DepthToSpace:
      return emitLayoutOp(emitter, op, operands);
    case OpKind.MaxPool:
    case OpKind.AvgPool:
      return emitPool(emitter, op, operands);
    case OpKind.Add:
    case OpKind.Sub:
    case OpKind.Mul:
    case OpKind.Maximum:
    case OpKind.Minimum:
      return emitBinary(emitter, op, operands);
    case OpKind.BatchMatMul:
      return emitMatrixProduct(emitter, op, operands);
    case OpKind.Lookup: {
      const entries = result.type === TensorType.Float32 ? 'floats' : 'codes';
      return emitter.lookup(op.name, inputs[0], op.tableOffset, entries);
    }
    case OpKind.Softmax:
      return emitter.node(op.name, 'QuantizedSoftmax', inputs, {
        ...affineAttrsOfCodes('input', input),
        ...affineAttrsOfCodes('output', result),
      });
    case OpKind.Prelu: {
      const alpha = emitter.constant(`${op.name}/alpha`, emitter.floats(op.alphaOffset, op.channels));
      return emitter.node(op.name, 'QuantizedPrelu', [inputs[0], alpha], {
        ...affineAttrs('input', input),
        ...affineAttrs('output', result),
      });
    }
    case OpKind.LayerNormalization: {
      const gamma = emitter.constant(`${op.name}/gamma`, emitter.floats(op.gammaOffset, op.channels));
      const beta = emitter.constant(`${op.name}/beta`, emitter.floats(op.betaOffset, op.channels));
      return emitter.node(op.name, 'QuantizedLayerNormalization', [inputs[0], gamma, beta], {
        epsilon: attr.float(op.epsilon),
        ...affineAttrsOfCodes('input', input),
        ...affineAttrsOfCodes('output', result),
      });
    }
    case OpKind.ResizeNearestNeighbor:
    case OpKind.ResizeBilinear:
      return emitter.node(op.name, `Quantized${OpKind[op.kind]}`, inputs, {
        size: attr.ints([op.size.height, op.size.width]),
        alignCorners: attr.bool(op.size.alignCorners),
        halfPixelCenters: attr.bool(op.size.halfPixelCenters),
        ...affineAttrs('input', input),
        ...affineAttrsOfCodes('output', result),
      });
    case OpKind.Rotate: {
      const { block, seed, inverse = false } = op.rotation;
      return emitter.node(op.name, 'Hadamard', inputs, {
        block: attr.int(block),
        seed: attr.int(seed),
        inverse: attr.bool(inverse),
        ...affineAttrsOfCodes('input', input),
        ...affineAttrsOfCodes('output', result),
      });
    }
    case OpKind.Constant: {
      const size = op.shape.reduce((product, dim) => product * dim, 1);
      return emitter.constant(op.name, emitter.codes(op.offset, size), op.shape);
    }
    case OpKind.Cast:
      return inputs[0];
    case OpKind.FloatAffine:
      return emitFloatAffine(emitter, op, inputs);
    case OpKind.QuantizeInt16:
    case OpKind.QuantizeDynamic:
    case OpKind.QuantizeGrid:
    case OpKind.FloatGate:
    case OpKind.FloatFunction:
      throw new Error(`${OpKind[op.kind]} has no kernel of its own.`);
  }
}

/**
 * Adds the nodes of a program to a graph.
 *
 * @param inputRefs the float32 tensors that the program reads
 * @returns the float32 tensors that it computes
 */
export function expandProgram(
  editor: GraphEditor,
  { tensors, ops, inputs, outputs }: Program,
  weights: Int32Array,
  inputRefs: readonly TensorRef[],
): TensorRef[] {
  const emitter = new NodeEmitter(editor, weights);
  const refs = new Map(inputs.map((id, i) => [id, inputRefs[i]]));
  for (const op of ops) {
    const operands = {
      inputs: op.inputs.map((id) => refs.get(id)!),
      specs: op.inputs.map((id) => tensors[id]),
      result: tensors[op.output],
    };
    refs.set(op.output, emitOp(emitter, op, operands));
  }
  return outputs.map((id) => refs.get(id)!);
}
