/** Draws random ops with random data for kernel tests. Extremes come up as often as ordinary values. */
import type { AffineParams } from '../../src/program/affine-params';
import {
  type Activation,
  type BinaryKind,
  type Int8FilterRef,
  type LowBitFormat,
  OpKind,
  PaddingMode,
  PadMode,
  type ResizeSize,
  type StoredFilterRef,
  type TensorSpec,
  TensorType,
  WeightFormat,
  type Window,
} from '../../src/program/program';
import { transposedSize } from '../kernels/reference/filters';
import { sizeOf } from '../kernels/reference/tensor';
import { realTaps, windowAxes } from '../kernels/reference/window';
import { type CaseBuilder, FLOAT32, int8, type OpDraft, type OutputSpec } from './case-builder';
import { drawLowBitFilter } from './draw-low-bit';
import type { Random } from './random';

/**
 * What the numbers of a case are like: `uniform` over all codes; `extreme`: only the ends, so that sums saturate;
 * `small`: sums of a few steps, which with scales that are powers of two often fall halfway between two codes.
 */
const STYLES = ['uniform', 'extreme', 'small'] as const;
/** `borderline`: codes at the ends, and weights of which a few pairs overflow a 16-bit sum by little. */
type Style = (typeof STYLES)[number] | 'borderline';

/** A builder with the random choices that hold for the whole case. */
export class Drawer {
  /**
   * @param plain only int8 outputs, without clamps and tables: what other libraries have as well
   * @param style random by default
   * @param maxWeight the largest magnitude of a weight
   */
  constructor(
    readonly builder: CaseBuilder,
    readonly random: Random,
    private readonly plain = false,
    readonly style: Style = random.pick(STYLES),
    private readonly maxWeight = 127,
  ) {}

  /** A zero point, one of the extremes half of the time. */
  private zeroPoint(): number {
    return this.random.chance(0.5) ? this.random.pick([-128, 0, 127]) : this.random.int(-128, 127);
  }

  private scaleNear(scale: number): number {
    return this.style === 'small' ? 2 ** Math.round(Math.log2(scale)) : Math.fround(scale);
  }

  params(): AffineParams {
    return { scale: this.scaleNear(2 ** this.random.real(-6, 2)), zeroPoint: this.zeroPoint() };
  }

  private codeValues(count: number, { zeroPoint }: AffineParams): Int32Array {
    if (this.style === 'uniform') return this.random.ints(count, -128, 127);
    if (this.style === 'extreme' || this.style === 'borderline') {
      return this.random.ints(count, 0, 1).map((bit) => (bit ? 127 : -128));
    }
    return this.random.ints(count, -3, 3).map((step) => Math.min(127, Math.max(-128, zeroPoint + step)));
  }

  /** An input of int8 codes. */
  codes(shape: readonly number[], params = this.params()): number {
    return this.builder.codes(shape, this.codeValues(sizeOf(shape), params), params);
  }

  private weightValues(count: number): Int8Array {
    if (this.style === 'uniform')
      return Int8Array.from(this.random.ints(count, -this.maxWeight, this.maxWeight));
    if (this.style === 'borderline') {
      return Int8Array.from({ length: count }, () =>
        this.random.pick(this.random.chance(0.02) ? [65, -65, 127] : [64, -64, 63, 0, 1]),
      );
    }
    if (this.style === 'extreme')
      return Int8Array.from(this.random.ints(count, 0, 1), (bit) => (bit ? this.maxWeight : -this.maxWeight));
    return Int8Array.from(this.random.ints(count, -1, 1));
  }

  /**
   * Appends a random filter and its bias and scales.
   *
   * @param weightAt index of weight `tap` of output channel `channel` in the filter's own order
   */
  private filter(
    channels: number,
    taps: number,
    weightAt: (channel: number, tap: number) => number,
  ): Int8FilterRef {
    const { random, builder } = this;
    const filter = this.weightValues(channels * taps);
    const scales = Float32Array.from({ length: channels }, () => this.scaleNear(2 ** random.real(-9, -4)));
    const bias = Int32Array.from({ length: channels }, (_, channel) => {
      let magnitude = 0;
      for (let tap = 0; tap < taps; ++tap) magnitude += Math.abs(filter[weightAt(channel, tap)]!);
      const room = 2 ** 31 - 1 - 255 * magnitude;
      const limit = this.style === 'extreme' && random.chance(0.2) ? room : Math.min(room, 50 * taps);
      return random.chance(0.3) ? limit * random.pick([-1, 1]) : random.int(-limit, limit);
    });
    return {
      filterOffset: builder.weights.append(filter),
      biasOffset: random.chance(0.8) ? builder.weights.append(bias) : undefined,
      scaleOffset: builder.weights.append(scales),
      format: WeightFormat.Int8,
    };
  }

  /** A window that fits an input of `shape`, and in which every position sees a real element if `needsReal`. */
  window(shape: readonly number[], needsReal: boolean): Window {
    const { random } = this;
    for (;;) {
      const kernel = [random.int(1, 5), random.int(1, 5)] as const;
      const dilations = random.chance(0.7) ? undefined : ([random.int(1, 3), random.int(1, 3)] as const);
      const pad = (axis: 0 | 1) => random.int(0, (kernel[axis] - 1) * (dilations?.[axis] ?? 1) + 1);
      const window: Window = {
        kernel,
        strides: [random.int(1, 4), random.int(1, 4)],
        dilations,
        padding: random.chance(0.4)
          ? { mode: PaddingMode.Explicit, top: pad(0), bottom: pad(0), left: pad(1), right: pad(1) }
          : { mode: random.pick([PaddingMode.Same, PaddingMode.Valid]) },
      };
      if (fits(window, shape, needsReal)) return window;
    }
  }

  /** A clamp, a table, both or neither; `params` bring the results to about the range of int8. */
  private activation(params: AffineParams, tables: boolean): { activation: Activation; spec: OutputSpec } {
    const { random } = this;
    const clamp = this.clamp();
    if (this.plain || !tables || random.chance(0.6)) return { activation: clamp, spec: int8(params) };
    const table = Int8Array.from(random.ints(256, -128, 127));
    const activation = {
      ...clamp,
      tableOffset: this.builder.weights.append(table),
      preScale: params.scale,
      preZeroPoint: params.zeroPoint,
    };
    return { activation, spec: int8(this.params()) };
  }

  private clamp(): Activation {
    if (this.plain || this.random.chance(0.5)) return {};
    const [codeMin, codeMax] = [this.random.int(-128, 127), this.random.int(-128, 127)].sort((a, b) => a - b);
    return { codeMin, codeMax };
  }

  /**
   * Adds an op whose results are requantized, with an output scale that fits what it computes.
   *
   * @param float whether the output may be float32
   * @param tables whether the op may look its results up
   * @param activations whether the op clamps its results
   */
  private requantized(
    make: (activation: Activation) => OpDraft,
    { float = false, tables = true, activations = true } = {},
  ): number {
    const { random, builder } = this;
    const floats = builder.preview(make({}), int8({ scale: 1, zeroPoint: 0 })).unrounded;
    const range = floats.reduce((max, x) => Math.max(max, Math.abs(x)), 0) || 1;
    if (float && !this.plain && random.chance(0.2)) {
      const [floatMin, floatMax] = [random.real(-range, range), random.real(-range, range)].sort(
        (a, b) => a - b,
      );
      return builder.apply(make(!activations || random.chance(0.5) ? {} : { floatMin, floatMax }), FLOAT32);
    }
    const steps = random.pick([3, 60, 120, 250, 1000]);
    // Long chains of products would run out of float32.
    const scale = this.scaleNear(Math.min(Math.max(range / steps, 2 ** -20), 2 ** 20));
    const params = { scale, zeroPoint: this.zeroPoint() };
    if (!activations) return builder.apply(make({}), int8(params));
    const { activation, spec } = this.activation(params, tables);
    return builder.apply(make(activation), spec);
  }

  conv2d(
    input: number,
    {
      outChannels = 0,
      groups = 0,
      window = undefined as Window | undefined,
      filter = undefined as StoredFilterRef | undefined,
    } = {},
  ): number {
    const { random, builder } = this;
    const inChannels = builder.shape(input)[3]!;
    const divisors = Array.from({ length: inChannels }, (_, i) => i + 1).filter((d) => inChannels % d === 0);
    groups ||= random.chance(0.6) ? 1 : random.pick(divisors);
    outChannels ||= groups * random.int(1, Math.ceil(24 / groups));
    window ??= this.window(builder.shape(input), false);
    const taps = (window.kernel[0] * window.kernel[1] * inChannels) / groups;
    const ref = filter ?? this.filter(outChannels, taps, (channel, tap) => channel * taps + tap);
    return this.requantized(
      (activation) => ({
        kind: OpKind.Conv2D,
        inputs: [input],
        filter: ref,
        inChannels,
        outChannels,
        groups,
        window,
        activation,
      }),
      { float: true },
    );
  }

  depthwiseConv2d(input: number, { multiplier = 0, window = undefined as Window | undefined } = {}): number {
    const { random, builder } = this;
    const channels = builder.shape(input)[3]!;
    multiplier ||= random.chance(0.6) ? 1 : random.int(2, 4);
    window ??= this.window(builder.shape(input), false);
    const outChannels = channels * multiplier;
    const taps = window.kernel[0] * window.kernel[1];
    const filter = this.filter(outChannels, taps, (channel, tap) => tap * outChannels + channel);
    return this.requantized(
      (activation) => ({
        kind: OpKind.DepthwiseConv2D,
        inputs: [input],
        filter,
        channels,
        multiplier,
        window,
        activation,
      }),
      { float: true },
    );
  }

  linear(
    input: number,
    outFeatures = this.random.int(1, 40),
    filter: StoredFilterRef = this.linearFilter(input, outFeatures),
  ): number {
    const inFeatures = this.builder.shape(input).at(-1)!;
    return this.requantized(
      (activation) => ({ kind: OpKind.Linear, inputs: [input], filter, inFeatures, outFeatures, activation }),
      { float: true },
    );
  }

  private linearFilter(input: number, outFeatures: number): StoredFilterRef {
    const inFeatures = this.builder.shape(input).at(-1)!;
    return this.filter(outFeatures, inFeatures, (channel, tap) => channel * inFeatures + tap);
  }

  /** A matrix product with a filter of 2, 3 or 4 bits. */
  lowBitLinear(input: number, outFeatures = this.random.int(1, 40), format = this.lowBitFormat()): number {
    const depth = this.builder.shape(input).at(-1)!;
    return this.linear(input, outFeatures, drawLowBitFilter(this, format, outFeatures, depth));
  }

  /** A product of floats with weights of any format. */
  linearFloat(input: number, outFeatures = this.random.int(1, 40)): number {
    const { random, builder } = this;
    const inFeatures = builder.shape(input).at(-1)!;
    const bias = Float32Array.from({ length: outFeatures }, () => random.real(-9, 9));
    const filter = {
      ...this.anyFilter(outFeatures, inFeatures),
      biasOffset: random.chance(0.8) ? builder.weights.append(bias) : undefined,
    };
    const activation = random.chance(0.6)
      ? {}
      : random.pick([{ floatMin: 0 }, { floatMin: -3, floatMax: 6 }]);
    return builder.apply(
      { kind: OpKind.LinearFloat, inputs: [input], filter, inFeatures, outFeatures, activation },
      FLOAT32,
    );
  }

  /** Rows of a matrix of any format. */
  gather(shape: readonly number[], rows: number, depth: number): number {
    const { random, builder } = this;
    const filter = { ...this.anyFilter(rows, depth), biasOffset: undefined };
    const indices = builder.integers(shape, random.ints(sizeOf(shape), 0, rows - 1));
    const draft: OpDraft = { kind: OpKind.Gather, inputs: [indices], filter, rows, depth };
    return random.chance(0.6)
      ? builder.apply(draft, FLOAT32)
      : this.requantized(() => draft, { activations: false });
  }

  private anyFilter(rows: number, depth: number): StoredFilterRef {
    return this.random.chance(0.2)
      ? this.filter(rows, depth, (channel, tap) => channel * depth + tap)
      : drawLowBitFilter(this, this.lowBitFormat(), rows, depth);
  }

  /** A 1x1 convolution with a filter of 2, 3 or 4 bits. */
  lowBitConv2d(input: number, outChannels = this.random.int(1, 24)): number {
    const { random } = this;
    const depth = this.builder.shape(input)[3]!;
    const pad = () => random.int(0, 1);
    const window: Window = {
      kernel: [1, 1],
      strides: random.chance(0.5) ? [1, 1] : [random.int(1, 3), random.int(1, 3)],
      padding: random.chance(0.3)
        ? { mode: PaddingMode.Explicit, top: pad(), bottom: pad(), left: pad(), right: pad() }
        : { mode: random.pick([PaddingMode.Same, PaddingMode.Valid]) },
    };
    const filter = drawLowBitFilter(this, this.lowBitFormat(), outChannels, depth);
    return this.conv2d(input, { outChannels, groups: 1, window, filter });
  }

  private lowBitFormat(): LowBitFormat {
    const { Codebook2, Codebook3, Codebook4, Trellis2 } = WeightFormat;
    return this.random.pick([Codebook2, Codebook3, Codebook4, Trellis2]);
  }

  transposedConv2d(input: number): number {
    const { random, builder } = this;
    const [, height, width, inChannels] = builder.shape(input) as [number, number, number, number];
    const outChannels = random.int(1, 24);
    const { window, outputSize } = this.transposedWindow(height, width);
    const taps = window.kernel[0] * window.kernel[1] * inChannels;
    const filter = this.filter(outChannels, taps, (channel, tap) => channel * taps + tap);
    return this.requantized(
      (activation) => ({
        kind: OpKind.TransposedConv2D,
        inputs: [input],
        filter,
        inChannels,
        outChannels,
        window,
        outputSize,
        activation,
      }),
      { float: true },
    );
  }

  /** A window and an output size from which a convolution gives an image of this size. */
  private transposedWindow(height: number, width: number): { window: Window; outputSize: [number, number] } {
    const { random } = this;
    for (;;) {
      const kernel = [random.int(1, 5), random.int(1, 5)] as const;
      const pad = (axis: 0 | 1) => random.int(0, kernel[axis] - 1);
      const window: Window = {
        kernel,
        strides: [random.int(1, 4), random.int(1, 4)],
        padding: random.chance(0.3)
          ? { mode: PaddingMode.Explicit, top: pad(0), bottom: pad(0), left: pad(1), right: pad(1) }
          : { mode: random.pick([PaddingMode.Same, PaddingMode.Valid]) },
      };
      // A convolution rounds down: a few pixels more or less may give the same image.
      const implied = transposedSize({ window, outputSize: [0, 0] }, height, width);
      const outputSize = implied.map((dim) => Math.max(0, dim + random.int(-2, 2))) as [number, number];
      if (random.chance(0.5)) outputSize.fill(0);
      const shape = [1, ...transposedSize({ window, outputSize }, height, width), 1];
      if (Math.min(...shape) < 1 || !fits(window, shape, false)) continue;
      const [rows, columns] = windowAxes(window, shape);
      if (rows.output === height && columns.output === width) return { window, outputSize };
    }
  }

  batchMatMul(a: number, b: number, transposeA: boolean, transposeB: boolean): number {
    return this.requantized(
      (activation) => ({ kind: OpKind.BatchMatMul, inputs: [a, b], transposeA, transposeB, activation }),
      { float: true },
    );
  }

  constant(shape: readonly number[]): number {
    const params = this.params();
    const offset = this.builder.weights.append(Int8Array.from(this.codeValues(sizeOf(shape), params)));
    return this.builder.apply({ kind: OpKind.Constant, inputs: [], offset, shape }, int8(params));
  }

  private poolWindow(input: number): Window {
    if (this.random.chance(0.2)) {
      return { kernel: [0, 0], strides: [1, 1], padding: { mode: PaddingMode.Valid } };
    }
    return this.window(this.builder.shape(input), this.plain);
  }

  maxPool(input: number, window = this.poolWindow(input)): number {
    const spec = int8(this.builder.spec(input));
    const activation = this.clamp();
    return this.builder.apply({ kind: OpKind.MaxPool, inputs: [input], window, activation }, spec);
  }

  avgPool(input: number, window = this.poolWindow(input)): number {
    return this.requantized((activation) => ({ kind: OpKind.AvgPool, inputs: [input], window, activation }), {
      tables: false,
      float: true,
    });
  }

  binary(kind: BinaryKind, a: number, b: number): number {
    return this.requantized((activation) => ({ kind, inputs: [a, b], activation }));
  }

  concat(inputs: readonly number[], axis: number): number {
    const draft: OpDraft = { kind: OpKind.Concat, inputs, axis };
    const one = this.builder.spec(inputs[0]!);
    if (this.random.chance(0.3)) return this.builder.apply(draft, int8(one));
    return this.requantized(() => draft, { tables: false });
  }

  reshape(input: number, shape: readonly number[]): number {
    const spec: TensorSpec = this.builder.spec(input);
    return this.builder.apply({ kind: OpKind.Reshape, inputs: [input], shape }, spec);
  }

  lookup(input: number): number {
    const table = Int8Array.from(this.random.ints(256, -128, 127));
    const tableOffset = this.builder.weights.append(table);
    return this.builder.apply({ kind: OpKind.Lookup, inputs: [input], tableOffset }, int8(this.params()));
  }

  prelu(input: number): number {
    const channels = this.builder.shape(input).at(-1) ?? 1;
    const alphas = Float32Array.from({ length: channels }, () => this.random.pick([0, 1, -1, 0.25, 0.3, 2]));
    const alphaOffset = this.builder.weights.append(alphas);
    return this.requantized(() => ({ kind: OpKind.Prelu, inputs: [input], channels, alphaOffset }), {
      activations: false,
    });
  }

  /** An op that moves codes and keeps their scale. */
  private moved(draft: OpDraft): number {
    return this.builder.apply(draft, int8(this.builder.spec(draft.inputs[0]!)));
  }

  pad(input: number): number {
    const { random } = this;
    const mode = random.pick([PadMode.Constant, PadMode.Constant, PadMode.Reflect, PadMode.Symmetric]);
    const shape = this.builder.shape(input);
    const bound = shape.length > 4 ? 1 : 4;
    const paddings = shape.map((dim) => {
      const mirrored = mode === PadMode.Reflect ? dim - 1 : dim;
      const most = mode === PadMode.Constant ? bound : Math.min(bound, mirrored);
      return random.chance(0.3) ? ([0, 0] as const) : ([random.int(0, most), random.int(0, most)] as const);
    });
    return this.moved({ kind: OpKind.Pad, inputs: [input], mode, code: random.int(-128, 127), paddings });
  }

  slice(input: number): number {
    const { random } = this;
    const ranges = this.builder.shape(input).map((dim) => {
      const stride = random.chance(0.7) ? 1 : random.int(1, 3);
      const begin = random.chance(0.4) ? 0 : random.int(0, dim - 1);
      const size = random.chance(0.4) ? -1 : random.int(1, Math.ceil((dim - begin) / stride));
      return { begin, size, stride };
    });
    return this.moved({ kind: OpKind.Slice, inputs: [input], ranges });
  }

  transpose(input: number): number {
    const axes = this.builder.shape(input).map((_, axis) => axis);
    for (let i = axes.length - 1; i > 0; --i) {
      const other = this.random.int(0, i);
      [axes[i], axes[other]] = [axes[other]!, axes[i]!];
    }
    return this.moved({ kind: OpKind.Transpose, inputs: [input], axes });
  }

  spaceDepth(kind: OpKind.SpaceToDepth | OpKind.DepthToSpace, block: number, input: number): number {
    return this.moved({ kind, inputs: [input], block });
  }

  private resizeSize(): ResizeSize {
    const { random } = this;
    const [height, width] = [random.int(1, 15), random.int(1, 15)];
    const alignCorners = random.chance(0.3);
    return { height, width, alignCorners, halfPixelCenters: !alignCorners && random.chance(0.5) };
  }

  resizeNearest(input: number, size = this.resizeSize()): number {
    return this.moved({ kind: OpKind.ResizeNearestNeighbor, inputs: [input], size });
  }

  resizeBilinear(input: number, size = this.resizeSize()): number {
    const draft: OpDraft = { kind: OpKind.ResizeBilinear, inputs: [input], size };
    if (this.random.chance(0.3)) return this.moved(draft);
    return this.requantized(() => draft, { float: true, activations: false });
  }

  floatLookup(input: number): number {
    const table = Float32Array.from({ length: 256 }, () => this.random.real(-9, 9));
    const tableOffset = this.builder.weights.append(table);
    return this.builder.apply({ kind: OpKind.Lookup, inputs: [input], tableOffset }, FLOAT32);
  }

  /** Of codes or of floats, to codes or floats. */
  softmax(input: number): number {
    const spec = this.random.chance(0.5) ? FLOAT32 : int8({ scale: 1 / 256, zeroPoint: this.zeroPoint() });
    return this.builder.apply({ kind: OpKind.Softmax, inputs: [input] }, spec);
  }

  /** A layer normalization of codes or of floats, to codes or floats; now and then of equal elements. */
  layerNormalization(input: number): number {
    const { random, builder } = this;
    const channels = builder.shape(input).at(-1)!;
    const numbers = () =>
      builder.weights.append(Float32Array.from({ length: channels }, () => random.real(-2, 2)));
    const draft: OpDraft = {
      kind: OpKind.LayerNormalization,
      inputs: [input],
      channels,
      gammaOffset: numbers(),
      betaOffset: numbers(),
      epsilon: random.pick([1e-3, 1e-5, 1e-12, 1]),
    };
    const spec = random.chance(0.5)
      ? FLOAT32
      : int8({ scale: random.real(0.005, 0.05), zeroPoint: this.zeroPoint() });
    return builder.apply(draft, spec);
  }

  /** A rotation of codes or of floats, to codes or floats. */
  rotate(input: number, block = 2 ** this.random.int(1, 9)): number {
    const { random, builder } = this;
    const rotation = {
      depth: builder.shape(input).at(-1)!,
      block,
      seed: random.int(0, 2 ** 32 - 1),
      inverse: random.chance(0.3),
    };
    const draft: OpDraft = { kind: OpKind.Rotate, inputs: [input], rotation };
    return random.chance(0.4)
      ? builder.apply(draft, FLOAT32)
      : this.requantized(() => draft, { activations: false });
  }

  /** A float32 input: ordinary values of some magnitude, with a few that are not finite if `odd`. */
  floats(shape: readonly number[], { odd = false } = {}): number {
    const scale = this.random.pick([0.1, 3, 40, 1000]);
    const values = Float32Array.from({ length: sizeOf(shape) }, () => this.random.real(-scale, scale));
    const strange = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38, -3e38];
    if (odd) values[this.random.int(0, values.length - 1)] = this.random.pick(strange);
    return this.builder.floats(shape, values);
  }

  /** Float32 values around the range that `params` can tell apart, with a few that no code stands for. */
  private floatValues(count: number, { scale, zeroPoint }: AffineParams): Float32Array {
    const { random } = this;
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38, -3e38, 1e-45, -0];
    return Float32Array.from({ length: count }, () => {
      if (random.chance(0.05)) return random.pick(odd);
      const step = random.real(-140, 140) - zeroPoint;
      return scale * (random.chance(0.2) ? Math.round(step) + 0.5 : step);
    });
  }

  quantized(shape: readonly number[]): number {
    const params = this.params();
    const input = this.builder.floats(shape, this.floatValues(sizeOf(shape), params));
    return this.builder.apply({ kind: OpKind.Quantize, inputs: [input] }, int8(params));
  }

  /** Brings a float32 tensor of moderate values back to codes. */
  requantizeReals(input: number): number {
    const range = this.builder.tensors[input]!.values.reduce((max, x) => Math.max(max, Math.abs(x)), 0) || 1;
    const params = { scale: this.scaleNear(range / 120), zeroPoint: this.zeroPoint() };
    return this.builder.apply({ kind: OpKind.Quantize, inputs: [input] }, int8(params));
  }

  /** Codes of a tensor that may be float32. */
  codesOf(id: number): number {
    return this.isFloat(id) ? this.requantizeReals(id) : id;
  }

  dequantize(input: number): number {
    return this.builder.apply({ kind: OpKind.Dequantize, inputs: [input] }, FLOAT32);
  }

  isFloat(id: number): boolean {
    return this.builder.spec(id).type === TensorType.Float32;
  }
}

function fits(window: Window, shape: readonly number[], needsReal: boolean): boolean {
  const { mode } = window.padding;
  const [dilationH, dilationW] = window.dilations ?? [1, 1];
  const { top = 0, bottom = 0, left = 0, right = 0 } = window.padding;
  const tall = (window.kernel[0] - 1) * dilationH + 1 > shape[1]! + top + bottom;
  const wide = (window.kernel[1] - 1) * dilationW + 1 > shape[2]! + left + right;
  if (mode !== PaddingMode.Same && (tall || wide)) return false;
  const sees = windowAxes(window, shape).map((axis) =>
    Array.from({ length: axis.output }, (_, at) => realTaps(axis, at).length > 0).every(Boolean),
  );
  return !needsReal || sees.every(Boolean);
}
