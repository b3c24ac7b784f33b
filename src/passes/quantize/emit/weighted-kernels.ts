/** Ops with a filter as nodes of their kernels, which take filter, scales and bias as constants. */
import { attr } from '../../../graph/attrs';
import type { TensorRef } from '../../../graph/ir';
import {
  type Activation,
  type FilterRef,
  filterRowBytes,
  type Op,
  OpKind,
  WeightFormat,
} from '../../../program/program';
import { groupsOf } from '../../../quantization/formats/format';
import { emitActivated, emitClampedFloat } from './activations';
import { type Attrs, affineAttrs, affineAttrsOfCodes, windowAttrs } from './kernel-attrs';
import type { NodeEmitter, Operands, OpOf } from './node-emitter';

interface Filter {
  readonly filter: TensorRef;
  readonly scales: TensorRef;
  readonly bias: TensorRef;
  /** How the filter is stored. */
  readonly attrs: Attrs;
}

interface FilterShape {
  readonly shape: readonly number[];
  /** Output channels. */
  readonly channels: number;
}

function emitBias(
  emitter: NodeEmitter,
  name: string,
  biasOffset: number | undefined,
  channels: number,
  float: boolean,
): TensorRef {
  const words = biasOffset === undefined ? new Int32Array(channels) : emitter.words(biasOffset, 4 * channels);
  return emitter.constant(`${name}/bias`, float ? new Float32Array(words.buffer) : words);
}

function emitFilter(
  emitter: NodeEmitter,
  name: string,
  ref: FilterRef,
  { shape, channels }: FilterShape,
  floatBias = ref.format !== WeightFormat.Int8,
): Filter {
  if (ref.format === WeightFormat.Int16 || ref.format === WeightFormat.OffsetInt8)
    throw new Error(`'${name}' has int16 weights, which no kernel takes.`);
  const depth = shape.reduce((product, d) => product * d, 1) / channels;
  const bias = emitBias(emitter, name, ref.biasOffset, channels, floatBias);
  const words = emitter.words(ref.filterOffset, channels * filterRowBytes(ref.format, depth));
  const filter = emitter.constant(`${name}/filter`, words);
  if (ref.format === WeightFormat.Int8) {
    const scales = emitter.constant(`${name}/filterScale`, emitter.floats(ref.scaleOffset, channels));
    return { filter, scales, bias, attrs: {} };
  }
  const { group, unit, scaleOffset, levelsOffset } = ref;
  const scaleWords = emitter.words(scaleOffset, 2 * channels * groupsOf({ depth, group }));
  return {
    filter,
    scales: emitter.constant(`${name}/filterScale`, scaleWords),
    bias,
    attrs: {
      weightFormat: attr.string(WeightFormat[ref.format].toLowerCase()),
      levels: attr.ints(Array.from(new Int8Array(emitter.words(levelsOffset, 16).buffer))),
      group: attr.int(group),
      unit: attr.float(Math.fround(unit)),
    },
  };
}

/** A kernel on codes with a filter. */
function emitWeighted(
  emitter: NodeEmitter,
  kernel: string,
  op: Op & { filter: FilterRef; activation: Activation },
  { inputs: [x], specs: [input], result }: Operands,
  filterShape: FilterShape,
  attrs: Attrs,
): TensorRef {
  const { filter, scales, bias, attrs: stored } = emitFilter(emitter, op.name, op.filter, filterShape);
  const shape = { filterShape: attr.ints(filterShape.shape) };
  const fixed = { ...attrs, ...stored, ...shape, ...affineAttrs('input', input) };
  return emitActivated(emitter, op.name, result, op.activation, (more) =>
    emitter.node(op.name, kernel, [x, filter, scales, bias], { ...fixed, ...more }),
  );
}

function emitLinearFloat(
  emitter: NodeEmitter,
  op: OpOf<OpKind.LinearFloat>,
  [x]: readonly TensorRef[],
): TensorRef {
  const shape = [op.outFeatures, op.inFeatures];
  const filterShape = { shape, channels: op.outFeatures };
  const { filter, scales, bias, attrs } = emitFilter(emitter, op.name, op.filter, filterShape, true);
  const fixed = { ...attrs, filterShape: attr.ints(shape) };
  return emitClampedFloat(emitter, op.name, op.activation, (more) =>
    emitter.node(op.name, 'LinearFloat', [x, filter, scales, bias], { ...fixed, ...more }),
  );
}

function emitGather(
  emitter: NodeEmitter,
  op: OpOf<OpKind.Gather>,
  { inputs: [indices], result }: Operands,
): TensorRef {
  const shape = [op.rows, op.depth];
  const { filter, scales, attrs } = emitFilter(emitter, op.name, op.filter, { shape, channels: op.rows });
  return emitter.node(op.name, 'QuantizedGather', [indices, filter, scales], {
    ...attrs,
    filterShape: attr.ints(shape),
    ...affineAttrsOfCodes('output', result),
  });
}

export type FilterOp = OpOf<
  | OpKind.Conv2D
  | OpKind.DepthwiseConv2D
  | OpKind.Linear
  | OpKind.TransposedConv2D
  | OpKind.LinearFloat
  | OpKind.Gather
>;

export function emitFilterOp(emitter: NodeEmitter, op: FilterOp, operands: Operands): TensorRef {
  switch (op.kind) {
    case OpKind.Conv2D: {
      const shape = [op.outChannels, ...op.window.kernel, op.inChannels / op.groups];
      const attrs = { ...windowAttrs(op.window), groups: attr.int(op.groups) };
      return emitWeighted(
        emitter,
        'QuantizedConv2D',
        op,
        operands,
        { shape, channels: op.outChannels },
        attrs,
      );
    }
    case OpKind.DepthwiseConv2D: {
      const shape = [...op.window.kernel, op.channels, op.multiplier];
      const filterShape = { shape, channels: op.channels * op.multiplier };
      return emitWeighted(emitter, 'QuantizedDepthwise', op, operands, filterShape, windowAttrs(op.window));
    }
    case OpKind.Linear: {
      const filterShape = { shape: [op.outFeatures, op.inFeatures], channels: op.outFeatures };
      return emitWeighted(emitter, 'QuantizedLinear', op, operands, filterShape, {});
    }
    case OpKind.TransposedConv2D: {
      const filterShape = {
        shape: [op.outChannels, ...op.window.kernel, op.inChannels],
        channels: op.outChannels,
      };
      const attrs = { ...windowAttrs(op.window), outputSize: attr.ints([...op.outputSize]) };
      return emitWeighted(emitter, 'QuantizedConv2DTranspose', op, operands, filterShape, attrs);
    }
    case OpKind.LinearFloat:
      return emitLinearFloat(emitter, op, operands.inputs);
    case OpKind.Gather:
      return emitGather(emitter, op, operands);
  }
}
