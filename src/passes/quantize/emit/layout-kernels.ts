/** Ops that move codes as nodes of their kernels. */
import { attr } from '../../../graph/attrs';
import type { TensorRef } from '../../../graph/ir';
import { OpKind, PadMode } from '../../../program/program';
import { affineAttrs } from './kernel-attrs';
import type { NodeEmitter, Operands, OpOf } from './node-emitter';

const PAD_MODES = {
  [PadMode.Constant]: 'constant',
  [PadMode.Reflect]: 'reflect',
  [PadMode.Symmetric]: 'symmetric',
};

export type LayoutOp = OpOf<
  | OpKind.Concat
  | OpKind.Reshape
  | OpKind.Pad
  | OpKind.Slice
  | OpKind.Transpose
  | OpKind.SpaceToDepth
  | OpKind.DepthToSpace
>;

export function emitLayoutOp(
  emitter: NodeEmitter,
  op: LayoutOp,
  { inputs, specs, result }: Operands,
): TensorRef {
  switch (op.kind) {
    case OpKind.Concat:
      return emitter.node(op.name, 'QuantizedConcat', inputs, {
        axis: attr.int(op.axis),
        inputScales: attr.floats(specs.map((p) => p.scale)),
        inputZeroPoints: attr.ints(specs.map((p) => p.zeroPoint)),
        ...affineAttrs('output', result),
      });
    case OpKind.Reshape: {
      const shape = emitter.constant(`${op.name}/shape`, Int32Array.from(op.shape));
      return emitter.node(op.name, 'Reshape', [inputs[0], shape], {});
    }
    case OpKind.Pad:
      return emitter.node(op.name, 'QuantizedPad', inputs, {
        paddings: attr.ints(op.paddings.flat()),
        mode: attr.string(PAD_MODES[op.mode]),
        code: attr.int(op.code),
      });
    case OpKind.Slice:
      return emitter.node(op.name, 'QuantizedSlice', inputs, {
        begin: attr.ints(op.ranges.map(({ begin }) => begin)),
        size: attr.ints(op.ranges.map(({ size }) => size)),
        strides: attr.ints(op.ranges.map(({ stride }) => stride)),
      });
    case OpKind.Transpose:
      return emitter.node(op.name, 'QuantizedTranspose', inputs, { perm: attr.ints(op.axes) });
    case OpKind.SpaceToDepth:
    case OpKind.DepthToSpace:
      return emitter.node(op.name, `Quantized${OpKind[op.kind]}`, inputs, {
        blockSize: attr.int(op.block),
      });
  }
}
