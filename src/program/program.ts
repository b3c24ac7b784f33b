/**
 * The quantized program: the narrow waist between the transformer and the engines.
 *
 * A program is a list of ops over numbered tensors, plus a blob of weights. It is encoded as little-endian 32-bit
 * words, so that it travels through a TF.js weight manifest as an `int32` tensor. Floats are stored by their bits.
 *
 * ```
 * header   magic 'LBPQ', format version, total words, tensors, ops, inputs, outputs, 0
 * inputs   tensor ids          outputs  tensor ids
 * tensor   dtype, rank, scale, zero point, dims[rank]                 (dim -1: known only when the program is planned)
 * op       kind, record words, name bytes, name..., input count, ids..., output count, ids..., parameter words...
 * ```
 * Shapes of tensors follow from the shapes of the inputs; a dim that is not -1 is a promise that the engine checks.
 * Activations are NHWC. Real value of an int8 code: (code - zeroPoint) * scale; an int16 tensor has its scales with it, one
 * of dynamic int8 codes its scales and zero points. Conv2D, DepthwiseConv2D (multiplier 1) and Linear take an int16 input
 * with int16 weights, or a dynamic one with int8 weights and a float32 bias, to a float32 output. Arithmetic,
 * Prelu, pools, resizing, Concat and what moves elements take float32 inputs to a float32 output as well.
 */

export const PROGRAM_MAGIC = 0x5150424c;
/**
 * 1: ops up to Lookup; 2: ops up to Constant, and float32 outputs of AvgPool and Lookup; 3: low-bit filters; 4: dynamic int8
 * codes, and float32 outputs of DepthwiseConv2D.
 */
export const PROGRAM_FORMAT_VERSION = 4;

/** Element types of program tensors. `int32` carries int8 codes across the TF.js border, one code an element. */
export enum TensorType {
  Float32 = 0,
  Int8 = 1,
  Int16 = 2,
  Int32 = 3,
  DynamicInt8 = 4,
}

/** What has a scale and a zero point of its own in a tensor of dynamic int8 codes. */
export enum Granularity {
  Sample = 0,
  /** All but the last axis: a pixel of an image. */
  Row = 1,
  /** An entry of the last axis, in one sample. */
  Channel = 2,
}

export enum OpKind {
  Quantize = 1,
  Dequantize = 2,
  Cast = 3,
  Conv2D = 4,
  DepthwiseConv2D = 5,
  Linear = 6,
  MaxPool = 7,
  AvgPool = 8,
  Add = 9,
  Mul = 10,
  Concat = 11,
  Reshape = 12,
  Lookup = 13,
  Softmax = 14,
  Sub = 15,
  Maximum = 16,
  Minimum = 17,
  Prelu = 18,
  Pad = 19,
  Slice = 20,
  Transpose = 21,
  SpaceToDepth = 22,
  DepthToSpace = 23,
  ResizeNearestNeighbor = 24,
  ResizeBilinear = 25,
  TransposedConv2D = 26,
  BatchMatMul = 27,
  Constant = 28,
  Rotate = 29,
  LinearFloat = 30,
  Gather = 31,
  QuantizeInt16 = 40,
  FloatAffine = 41,
  FloatFunction = 42,
  FloatGate = 43,
  QuantizeDynamic = 44,
  QuantizeGrid = 45,
}

/**
 * How the filter of an op is stored. All but Int8 are rows of codes (one row an output channel, beginning on a byte),
 * which a table turns into small integers, the levels:
 *
 * ```
 * Codebook2   4 codes a byte, the first in the lowest bits          level = levels[code]
 * Codebook3   8 codes in 3 bytes, a little-endian word of 24 bits   level = levels[code]
 * Codebook4   2 codes a byte, the first in the lower half           level = levels[code]
 * Trellis2    as Codebook2           level of k = levels[code of k - 4 | code of k << 2]; codes before the row are 0
 * ```
 * Codes past the end of a row are 0. Real weight: level * (scale * unit), with the scale of its row and group.
 */
export enum WeightFormat {
  Int8 = 0,
  Codebook2 = 1,
  Codebook3 = 2,
  Codebook4 = 3,
  Trellis2 = 4,
  /** int16, of an op with an int16 input: bias is float32, and sum |w| a channel at most 65536. */
  Int16 = 16,
}

/** Functions of real values; Swish: x * sigmoid(x). */
export enum FloatFunctionKind {
  Sigmoid = 0,
  Tanh = 1,
  Elu = 2,
  Abs = 3,
  Swish = 4,
}

/** Bits of a code. */
export const WEIGHT_BITS: Readonly<Record<WeightFormat, number>> = {
  [WeightFormat.Int8]: 8,
  [WeightFormat.Codebook2]: 2,
  [WeightFormat.Codebook3]: 3,
  [WeightFormat.Codebook4]: 4,
  [WeightFormat.Trellis2]: 2,
  [WeightFormat.Int16]: 16,
};

/** Bytes of `count` weights of an output channel. */
export function filterRowBytes(format: WeightFormat, count: number): number {
  const bits = WEIGHT_BITS[format];
  return bits === 3 ? 3 * Math.ceil(count / 8) : Math.ceil((count * bits) / 8);
}

export type LowBitFormat = Exclude<WeightFormat, WeightFormat.Int8 | WeightFormat.Int16>;

export enum PaddingMode {
  Explicit = 0,
  Same = 1,
  Valid = 2,
}

export interface TensorSpec {
  type: TensorType;
  /** -1 for a dimension that is known only when the program is planned (the batch, usually). */
  shape: readonly number[];
  /** Real units per step; 1 for float32. */
  scale: number;
  /** In [-128, 127]; 0 for float32; the granularity of dynamic int8 codes. */
  zeroPoint: number;
}

/**
 * A pointwise function fused into the store of an op.
 *
 * Without a table, the result is requantized to the output tensor's scale and zero point and clamped to
 * [codeMin, codeMax]. With a table, it is requantized to (preScale, preZeroPoint), clamped, and the code looked up:
 * `table[code + 128]` is the int8 output code. An op with a float32 output clamps the real value to
 * [floatMin, floatMax] instead and takes no table.
 */
export interface Activation {
  codeMin?: number;
  codeMax?: number;
  /** Byte offset in the weights of 256 int8 codes. */
  tableOffset?: number;
  preScale?: number;
  preZeroPoint?: number;
  floatMin?: number;
  floatMax?: number;
}

export interface Padding {
  mode: PaddingMode;
  top?: number;
  bottom?: number;
  left?: number;
  right?: number;
}

export interface Window {
  kernel: readonly [height: number, width: number];
  strides: readonly [height: number, width: number];
  dilations?: readonly [height: number, width: number];
  padding: Padding;
}

/** Where a filter lies in the weights: byte offsets; those of bias and scales are 4-aligned. */
interface FilterPlace {
  filterOffset: number;
  /** Absent: no bias. */
  biasOffset?: number;
  scaleOffset: number;
}

/** Bias int32 at s_in * s_w[c], or float32 in real units for a dynamic input; one float32 scale per output channel. */
export interface Int8FilterRef extends FilterPlace {
  format: WeightFormat.Int8;
}

/**
 * A filter of 2, 3 or 4 bits a weight, of Linear and of a Conv2D with 1x1 kernel, no dilation and one group.
 * `filterOffset` is 4-aligned. Bias float32, in real units. Scales float16, not negative, one a group of every row:
 * [outputs][groups].
 */
export interface LowBitFilterRef extends FilterPlace {
  format: LowBitFormat;
  /** Of 16 int8 levels in [-63, 63]; those that no code stands for are 0. */
  levelsOffset: number;
  /** How many neighbouring inputs share a scale: a multiple of 32, the last group may be short; 0: the whole row. */
  group: number;
  /** Positive. */
  unit: number;
}

/** Of an op with an int16 input; one float32 bias, in real units, and one float32 scale per output channel. */
export interface Int16FilterRef extends FilterPlace {
  format: WeightFormat.Int16;
}

/** What any op takes that decodes weights on its own. */
export type StoredFilterRef = Int8FilterRef | LowBitFilterRef;

export type FilterRef = StoredFilterRef | Int16FilterRef;

/** What padding is made of: one code; or the elements near the border, mirrored without the outermost one or with it. */
export enum PadMode {
  Constant = 0,
  Reflect = 1,
  Symmetric = 2,
}

export interface SliceRange {
  begin: number;
  size: number;
  stride: number;
}

/** As TensorFlow's resizing ops have it; corners and centers are not aligned both. */
export interface ResizeSize {
  height: number;
  width: number;
  alignCorners: boolean;
  halfPixelCenters: boolean;
}

/**
 * A randomised block-Hadamard rotation of rows, x' = H_b D x / sqrt(b) on every block of b elements: the signs of D first,
 * then butterflies a + b, a - b over elements 1, 2, 4, ... apart, then one multiplication; the inverse is
 * D H_b x / sqrt(b). A row is cut into as many full blocks as fit and ever smaller powers of two (100 with blocks of 64:
 * 64, 32, 4). Element i is negated where bit i % 32 of the word floor(i / 32) is set; word j is the finalizer of
 * MurmurHash3 of seed + 0x9e3779b9 * (j + 1), modulo 2^32.
 */
export interface Rotation {
  /** Elements of a row. */
  depth: number;
  /** A power of two from 2 to 4096. */
  block: number;
  /** An unsigned 32-bit integer. */
  seed: number;
  inverse?: boolean;
}

/** Equally spaced values, 256 of them, with zero among or between them. */
export interface Grid {
  readonly first: number;
  readonly step: number;
}

export type BinaryKind = OpKind.Add | OpKind.Mul | OpKind.Sub | OpKind.Maximum | OpKind.Minimum;

interface OpBase {
  /** Name of the source node, for messages. */
  name: string;
  inputs: readonly number[];
  output: number;
}

export type Op = OpBase &
  (
    | { kind: OpKind.Quantize | OpKind.Dequantize | OpKind.Cast }
    /** Filter [outChannels, kernel h, kernel w, inChannels / groups]. Output int8 or float32. */
    | {
        kind: OpKind.Conv2D;
        filter: FilterRef;
        inChannels: number;
        outChannels: number;
        groups: number;
        window: Window;
        activation: Activation;
      }
    /**
     * Filter [kernel h, kernel w, channels * multiplier]; output channel c * multiplier + j reads input channel c. Output int8
     * or float32. A dynamic input has the granularity Channel; that of Conv2D is Sample, or Row for a 1x1 kernel without
     * strides and padding; that of Linear is Row.
     */
    | {
        kind: OpKind.DepthwiseConv2D;
        filter: Int8FilterRef | Int16FilterRef;
        channels: number;
        multiplier: number;
        window: Window;
        activation: Activation;
      }
    /** Filter [outFeatures, inFeatures], on the last axis. Output int8 or float32. */
    | {
        kind: OpKind.Linear;
        filter: FilterRef;
        inFeatures: number;
        outFeatures: number;
        activation: Activation;
      }
    /** Kernel [0, 0]: global. Scale and zero point of input and output are equal. */
    | { kind: OpKind.MaxPool; window: Window; activation: Activation }
    /** Kernel [0, 0]: global. Divides by the number of real (not padded) elements. Output int8 or float32. */
    | { kind: OpKind.AvgPool; window: Window; activation: Activation }
    /** NumPy broadcasting. */
    | { kind: BinaryKind; activation: Activation }
    | { kind: OpKind.Concat; axis: number }
    /** At most one -1, inferred. */
    | { kind: OpKind.Reshape; shape: readonly number[] }
    /** int8 -> int8 or float32 through a table of 256 int8 codes or float32 values (4-aligned), by code + 128. */
    | { kind: OpKind.Lookup; tableOffset: number }
    /** On the last axis. Input int8 or float32, output int8 or float32. */
    | { kind: OpKind.Softmax }
    /** x where x >= 0, alpha[c] * x below: one float32 alpha a channel, 4-aligned. */
    | { kind: OpKind.Prelu; channels: number; alphaOffset: number }
    /** Scale and zero point of input and output are equal, here and in the kinds below up to resizing. */
    | {
        kind: OpKind.Pad;
        mode: PadMode;
        code: number;
        paddings: readonly (readonly [before: number, after: number])[];
      }
    /** One range an axis; size -1: to the end. */
    | { kind: OpKind.Slice; ranges: readonly SliceRange[] }
    /** Axis i of the output is axis `axes[i]` of the input. */
    | { kind: OpKind.Transpose; axes: readonly number[] }
    /** Blocks of `block` x `block` pixels to channels and back; channel (i * block + j) * channels + c is pixel (i, j). */
    | { kind: OpKind.SpaceToDepth | OpKind.DepthToSpace; block: number }
    | { kind: OpKind.ResizeNearestNeighbor; size: ResizeSize }
    /** Any scales; output int8 or float32. */
    | { kind: OpKind.ResizeBilinear; size: ResizeSize }
    /**
     * The gradient of a convolution with respect to its input. Filter [outChannels, kernel h, kernel w, inChannels]; the
     * window is that of the convolution from output to input, without dilation. Output int8 or float32.
     */
    | {
        kind: OpKind.TransposedConv2D;
        filter: Int8FilterRef;
        inChannels: number;
        outChannels: number;
        window: Window;
        /** 0: the input times the stride (SAME), or what the window covers. */
        outputSize: readonly [height: number, width: number];
        activation: Activation;
      }
    /** On the last two axes; the others broadcast. Output int8 or float32. */
    | { kind: OpKind.BatchMatMul; transposeA: boolean; transposeB: boolean; activation: Activation }
    /** int8 codes at a byte offset in the weights; an op without inputs. */
    | { kind: OpKind.Constant; offset: number; shape: readonly number[] }
    /** On the last axis. Input int8 or float32, output int8 or float32. */
    | { kind: OpKind.Rotate; rotation: Rotation }
    /**
     * Filter [outFeatures, inFeatures] of any format, on the last axis of float32 values; output float32. The bias is
     * float32, in real units, in every format.
     */
    | {
        kind: OpKind.LinearFloat;
        filter: StoredFilterRef;
        inFeatures: number;
        outFeatures: number;
        activation: Activation;
      }
    /**
     * Rows of a filter [rows, depth] of any format, without bias, by int32 indices [...]. Output [..., depth], float32 or
     * int8. An index outside is an error when the program runs.
     */
    | { kind: OpKind.Gather; filter: StoredFilterRef; rows: number; depth: number }
    /** float32 -> int16, with a scale that fits the values at hand, one a sample; kept with the codes. */
    | { kind: OpKind.QuantizeInt16 }
    /** float32 -> dynamic int8 codes, scales and zero points fit the values at hand and are kept with the codes. */
    | { kind: OpKind.QuantizeDynamic }
    /** float32 -> dynamic int8 codes, a range for each sample, of which the codes of values first + step * 0..255 are exact. */
    | { kind: OpKind.QuantizeGrid; grid: Grid }
    /**
     * float32 -> float32: x * a[c] + b[c], clamped; one a and b a channel, or one for all where `channels` is 1. FloatGate:
     * x times that, hard-swish for one.
     */
    | {
        kind: OpKind.FloatAffine | OpKind.FloatGate;
        channels: number;
        aOffset: number;
        bOffset: number;
        floatMin?: number;
        floatMax?: number;
      }
    /** float32 -> float32 */
    | { kind: OpKind.FloatFunction; function: FloatFunctionKind }
  );

export interface Program {
  tensors: TensorSpec[];
  ops: Op[];
  inputs: number[];
  outputs: number[];
}

const scratch = new DataView(new ArrayBuffer(4));

function floatBits(value: number): number {
  scratch.setFloat32(0, value, true);
  return scratch.getInt32(0, true);
}

/** Seven words: code min and max, table offset or -1, pre scale, pre zero point, real min and max. */
function activationWords(a: Activation): number[] {
  return [
    a.codeMin ?? -128,
    a.codeMax ?? 127,
    a.tableOffset ?? -1,
    floatBits(a.preScale ?? 1),
    a.preZeroPoint ?? 0,
    floatBits(a.floatMin ?? Number.NEGATIVE_INFINITY),
    floatBits(a.floatMax ?? Number.POSITIVE_INFINITY),
  ];
}

/** Eleven words: kernel h, w, strides h, w, dilations h, w, padding mode, top, bottom, left, right. */
function windowWords(w: Window): number[] {
  const p = w.padding;
  const [dilationH, dilationW] = w.dilations ?? [1, 1];
  return [
    ...w.kernel,
    ...w.strides,
    dilationH,
    dilationW,
    p.mode,
    p.top ?? 0,
    p.bottom ?? 0,
    p.left ?? 0,
    p.right ?? 0,
  ];
}

/** Filter offset, bias offset or -1, scale offset, weight format; of low-bit formats also levels offset, group, unit. */
function filterWords(f: FilterRef): number[] {
  const words = [f.filterOffset, f.biasOffset ?? -1, f.scaleOffset, f.format];
  return 'unit' in f ? [...words, f.levelsOffset, f.group, floatBits(f.unit)] : words;
}

function parameterWords(op: Op): number[] {
  switch (op.kind) {
    case OpKind.Quantize:
    case OpKind.Dequantize:
    case OpKind.Cast:
    case OpKind.Softmax:
    case OpKind.QuantizeInt16:
    case OpKind.QuantizeDynamic:
      return [];
    case OpKind.QuantizeGrid:
      return [floatBits(op.grid.first), floatBits(op.grid.step)];
    case OpKind.FloatAffine:
    case OpKind.FloatGate:
      return [
        op.channels,
        op.aOffset,
        op.bOffset,
        floatBits(op.floatMin ?? Number.NEGATIVE_INFINITY),
        floatBits(op.floatMax ?? Number.POSITIVE_INFINITY),
      ];
    case OpKind.FloatFunction:
      return [op.function];
    case OpKind.Conv2D:
      return [
        ...filterWords(op.filter),
        op.inChannels,
        op.outChannels,
        op.groups,
        ...windowWords(op.window),
        ...activationWords(op.activation),
      ];
    case OpKind.DepthwiseConv2D:
      return [
        ...filterWords(op.filter),
        op.channels,
        op.multiplier,
        ...windowWords(op.window),
        ...activationWords(op.activation),
      ];
    case OpKind.TransposedConv2D:
      return [
        ...filterWords(op.filter),
        op.inChannels,
        op.outChannels,
        ...windowWords(op.window),
        ...op.outputSize,
        ...activationWords(op.activation),
      ];
    case OpKind.BatchMatMul:
      return [Number(op.transposeA), Number(op.transposeB), ...activationWords(op.activation)];
    case OpKind.Constant:
      return [op.offset, op.shape.length, ...op.shape];
    case OpKind.Rotate: {
      const { depth, block, seed, inverse = false } = op.rotation;
      return [depth, block, seed | 0, Number(inverse)];
    }
    case OpKind.Gather:
      return [...filterWords(op.filter), op.rows, op.depth];
    case OpKind.Linear:
    case OpKind.LinearFloat:
      return [...filterWords(op.filter), op.inFeatures, op.outFeatures, ...activationWords(op.activation)];
    case OpKind.MaxPool:
    case OpKind.AvgPool:
      return [...windowWords(op.window), ...activationWords(op.activation)];
    case OpKind.Add:
    case OpKind.Mul:
    case OpKind.Sub:
    case OpKind.Maximum:
    case OpKind.Minimum:
      return activationWords(op.activation);
    case OpKind.Concat:
      return [op.axis];
    case OpKind.Reshape:
      return [op.shape.length, ...op.shape];
    case OpKind.Lookup:
      return [op.tableOffset];
    case OpKind.Prelu:
      return [op.channels, op.alphaOffset];
    case OpKind.Pad:
      return [op.mode, op.code, op.paddings.length, ...op.paddings.flat()];
    case OpKind.Slice:
      return [op.ranges.length, ...op.ranges.flatMap(({ begin, size, stride }) => [begin, size, stride])];
    case OpKind.Transpose:
      return [op.axes.length, ...op.axes];
    case OpKind.SpaceToDepth:
    case OpKind.DepthToSpace:
      return [op.block];
    case OpKind.ResizeNearestNeighbor:
    case OpKind.ResizeBilinear: {
      const { height, width, alignCorners, halfPixelCenters } = op.size;
      return [height, width, Number(alignCorners), Number(halfPixelCenters)];
    }
  }
}

function nameWords(name: string): number[] {
  const bytes = new TextEncoder().encode(name);
  const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  padded.set(bytes);
  const view = new DataView(padded.buffer);
  const words = [bytes.length];
  for (let i = 0; i < padded.length; i += 4) words.push(view.getInt32(i, true));
  return words;
}

/** Encodes a program as the 32-bit words that `Engine.compile` takes and an artefact stores. */
export function encodeProgram(program: Program): Int32Array {
  const words: number[] = [...program.inputs, ...program.outputs];
  for (const t of program.tensors) {
    words.push(t.type, t.shape.length, floatBits(t.scale), t.zeroPoint, ...t.shape);
  }
  for (const op of program.ops) {
    const body = [...nameWords(op.name), op.inputs.length, ...op.inputs, 1, op.output, ...parameterWords(op)];
    words.push(op.kind, body.length + 2, ...body);
  }
  const header = [
    PROGRAM_MAGIC,
    PROGRAM_FORMAT_VERSION,
    words.length + 8,
    program.tensors.length,
    program.ops.length,
    program.inputs.length,
    program.outputs.length,
    0,
  ];
  return Int32Array.from([...header, ...words]);
}

/** Collects the weights of a program: appends typed arrays 4-aligned and hands out their byte offsets. */
export class WeightsBuilder {
  private readonly parts: { offset: number; bytes: Uint8Array }[] = [];
  private size = 0;

  /** @returns the byte offset of the appended data */
  append(data: Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Float32Array): number {
    const offset = this.size;
    this.parts.push({ offset, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) });
    this.size = offset + Math.ceil(data.byteLength / 4) * 4;
    return offset;
  }

  build(): Int32Array {
    const bytes = new Uint8Array(this.size);
    for (const part of this.parts) bytes.set(part.bytes, part.offset);
    return new Int32Array(bytes.buffer);
  }
}
