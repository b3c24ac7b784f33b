/**
 * A program as graph nodes, one named kernel an op, for seeing every intermediate: codes travel as int32 tensors, and
 * the results are the program's to the bit. What the kernels have no attribute for, tables and odd clamps, becomes
 * stock TF.js ops on the codes, which compute the same.
 */

import { attr } from '../../../graph/attrs';
import { type GraphEditor, output } from '../../../graph/edit';
import type { Constant, RawAttr, TensorRef } from '../../../graph/ir';
import {
  type Activation,
  type FilterRef,
  filterRowBytes,
  type Op,
  OpKind,
  PaddingMode,
  PadMode,
  type Program,
  type TensorSpec,
  TensorType,
  WeightFormat,
  type Window,
} from '../../../program/program';
import { type ActivationName, clampBounds, clampCodes } from '../../../quantization/activation';
import { groupsOf } from '../../../quantization/formats/format';

type Attrs = Record<string, RawAttr>;

const PADS = { [PaddingMode.Same]: 'same', [PaddingMode.Valid]: 'valid', [PaddingMode.Explicit]: 'explicit' };

const PAD_MODES = {
  [PadMode.Constant]: 'constant',
  [PadMode.Reflect]: 'reflect',
  [PadMode.Symmetric]: 'symmetric',
};

const TABLE_ENTRIES = 256;

function windowAttrs({ strides, dilations, padding }: Window): Attrs {
  const { mode, top = 0, bottom = 0, left = 0, right = 0 } = padding;
  return {
    strides: attr.ints(strides),
    dilations: attr.ints(dilations ?? [1, 1]),
    pad: attr.string(PADS[mode]),
    ...(mode === PaddingMode.Explicit && { explicitPads: attr.ints([top, bottom, left, right]) }),
  };
}

/** The parameters of codes; nothing for float32. */
function affineAttrsOfCodes(prefix: string, spec: TensorSpec): Attrs {
  return spec.type === TensorType.Float32 ? {} : affineAttrs(prefix, spec);
}

function affineAttrs(prefix: string, { scale, zeroPoint }: Pick<TensorSpec, 'scale' | 'zeroPoint'>): Attrs {
  return { [`${prefix}Scale`]: attr.float(scale), [`${prefix}ZeroPoint`]: attr.int(zeroPoint) };
}

/** The activation that clamps codes of this quantization to these bounds, if one of the kernels' does. */
function clampName(codeMin: number, codeMax: number, params: TensorSpec): string | undefined {
  return (['linear', 'relu', 'relu6'] as const).find((name) => {
    const codes = clampCodes(clampBounds(name)!, params);
    return codes.codeMin === codeMin && codes.codeMax === codeMax;
  });
}

class Expansion {
  private readonly refs = new Map<number, TensorRef>();

  constructor(
    private readonly editor: GraphEditor,
    private readonly program: Program,
    private readonly weights: Int32Array,
  ) {}

  run(inputs: readonly TensorRef[]): TensorRef[] {
    this.program.inputs.forEach((id, i) => {
      this.refs.set(id, inputs[i]);
    });
    for (const op of this.program.ops) this.refs.set(op.output, this.expand(op));
    return this.program.outputs.map((id) => this.refs.get(id)!);
  }

  private spec(id: number): TensorSpec {
    return this.program.tensors[id];
  }

  private node(name: string, op: string, inputs: readonly TensorRef[], attrs: Attrs): TensorRef {
    const free = this.editor.freeName(`${name}/${op}`);
    this.editor.setNode({ name: free, op, inputs, attrs });
    return output(free);
  }

  private constant(
    name: string,
    values: Int32Array | Float32Array,
    shape: readonly number[] = [values.length],
  ): TensorRef {
    const dtype = values instanceof Float32Array ? 'float32' : 'int32';
    return this.editor.addConstant(name, { dtype, shape, values } as Constant);
  }

  private words(offset: number, bytes: number): Int32Array {
    return this.weights.slice(offset / 4, offset / 4 + Math.ceil(bytes / 4));
  }

  private expand(op: Op): TensorRef {
    const inputs = op.inputs.map((id) => this.refs.get(id)!);
    const [input] = op.inputs.map((id) => this.spec(id));
    const result = this.spec(op.output);
    switch (op.kind) {
      case OpKind.Quantize:
        return this.node(op.name, 'Quantize', inputs, {
          scale: attr.float(result.scale),
          zeroPoint: attr.int(result.zeroPoint),
        });
      case OpKind.Dequantize:
        return this.node(op.name, 'Dequantize', inputs, {
          scale: attr.float(input.scale),
          zeroPoint: attr.int(input.zeroPoint),
        });
      case OpKind.Conv2D: {
        const shape = [op.outChannels, ...op.window.kernel, op.inChannels / op.groups];
        const attrs = { ...windowAttrs(op.window), groups: attr.int(op.groups) };
        return this.weighted(op, 'QuantizedConv2D', inputs[0], shape, op.outChannels, attrs);
      }
      case OpKind.DepthwiseConv2D: {
        const shape = [...op.window.kernel, op.channels, op.multiplier];
        const channels = op.channels * op.multiplier;
        return this.weighted(op, 'QuantizedDepthwise', inputs[0], shape, channels, windowAttrs(op.window));
      }
      case OpKind.Linear:
        return this.weighted(
          op,
          'QuantizedLinear',
          inputs[0],
          [op.outFeatures, op.inFeatures],
          op.outFeatures,
          {},
        );
      case OpKind.LinearFloat: {
        const shape = [op.outFeatures, op.inFeatures];
        const { filter, scales, bias, attrs } = this.filter(op.name, op.filter, shape, op.outFeatures, true);
        const fixed = { ...attrs, filterShape: attr.ints(shape) };
        return this.clampedFloat(op.name, op.activation, (more) =>
          this.node(op.name, 'LinearFloat', [inputs[0], filter, scales, bias], { ...fixed, ...more }),
        );
      }
      case OpKind.Gather: {
        const shape = [op.rows, op.depth];
        const { filter, scales, attrs } = this.filter(op.name, op.filter, shape, op.rows);
        return this.node(op.name, 'QuantizedGather', [inputs[0], filter, scales], {
          ...attrs,
          filterShape: attr.ints(shape),
          ...affineAttrsOfCodes('output', result),
        });
      }
      case OpKind.MaxPool:
      case OpKind.AvgPool:
        return this.pool(op, inputs, input, result);
      case OpKind.Add:
      case OpKind.Sub:
      case OpKind.Mul:
      case OpKind.Maximum:
      case OpKind.Minimum: {
        const [a, b] = op.inputs.map((id) => this.spec(id));
        const operands = { ...affineAttrs('a', a), ...affineAttrs('b', b) };
        return this.activated(op.name, result, op.activation, (attrs) =>
          this.node(op.name, `Quantized${OpKind[op.kind]}`, inputs, {
            ...operands,
            ...attrs,
          }),
        );
      }
      case OpKind.Concat: {
        const parts = op.inputs.map((id) => this.spec(id));
        return this.node(op.name, 'QuantizedConcat', inputs, {
          axis: attr.int(op.axis),
          inputScales: attr.floats(parts.map((p) => p.scale)),
          inputZeroPoints: attr.ints(parts.map((p) => p.zeroPoint)),
          ...affineAttrs('output', result),
        });
      }
      case OpKind.Reshape:
        return this.node(
          op.name,
          'Reshape',
          [inputs[0], this.constant(`${op.name}/shape`, Int32Array.from(op.shape))],
          {},
        );
      case OpKind.Lookup:
        return result.type === TensorType.Float32
          ? this.gather(op.name, inputs[0], this.floatTable(op))
          : this.lookup(op.name, inputs[0], op.tableOffset);
      case OpKind.Softmax:
        return this.node(op.name, 'QuantizedSoftmax', inputs, {
          ...affineAttrsOfCodes('input', input),
          ...affineAttrsOfCodes('output', result),
        });
      case OpKind.Prelu: {
        const alpha = new Float32Array(this.words(op.alphaOffset, 4 * op.channels).buffer);
        return this.node(op.name, 'QuantizedPrelu', [inputs[0], this.constant(`${op.name}/alpha`, alpha)], {
          ...affineAttrs('input', input),
          ...affineAttrs('output', result),
        });
      }
      case OpKind.Pad:
        return this.node(op.name, 'QuantizedPad', inputs, {
          paddings: attr.ints(op.paddings.flat()),
          mode: attr.string(PAD_MODES[op.mode]),
          code: attr.int(op.code),
        });
      case OpKind.Slice:
        return this.node(op.name, 'QuantizedSlice', inputs, {
          begin: attr.ints(op.ranges.map(({ begin }) => begin)),
          size: attr.ints(op.ranges.map(({ size }) => size)),
          strides: attr.ints(op.ranges.map(({ stride }) => stride)),
        });
      case OpKind.Transpose:
        return this.node(op.name, 'QuantizedTranspose', inputs, { perm: attr.ints(op.axes) });
      case OpKind.SpaceToDepth:
      case OpKind.DepthToSpace:
        return this.node(op.name, `Quantized${OpKind[op.kind]}`, inputs, { blockSize: attr.int(op.block) });
      case OpKind.ResizeNearestNeighbor:
      case OpKind.ResizeBilinear:
        return this.node(op.name, `Quantized${OpKind[op.kind]}`, inputs, {
          size: attr.ints([op.size.height, op.size.width]),
          alignCorners: attr.bool(op.size.alignCorners),
          halfPixelCenters: attr.bool(op.size.halfPixelCenters),
          ...affineAttrs('input', input),
          ...affineAttrsOfCodes('output', result),
        });
      case OpKind.Rotate: {
        const { block, seed, inverse = false } = op.rotation;
        return this.node(op.name, 'Hadamard', inputs, {
          block: attr.int(block),
          seed: attr.int(seed),
          inverse: attr.bool(inverse),
          ...affineAttrsOfCodes('input', input),
          ...affineAttrsOfCodes('output', result),
        });
      }
      case OpKind.TransposedConv2D: {
        const shape = [op.outChannels, ...op.window.kernel, op.inChannels];
        const [height, width] = op.outputSize;
        const attrs = { ...windowAttrs(op.window), outputSize: attr.ints([height, width]) };
        return this.weighted(op, 'QuantizedConv2DTranspose', inputs[0], shape, op.outChannels, attrs);
      }
      case OpKind.BatchMatMul: {
        const [a, b] = op.inputs.map((id) => this.spec(id));
        const emit = (more: Attrs) =>
          this.node(op.name, 'QuantizedBatchMatMul', inputs, {
            ...affineAttrs('a', a),
            ...affineAttrs('b', b),
            transposeA: attr.bool(op.transposeA),
            transposeB: attr.bool(op.transposeB),
            ...more,
          });
        return result.type === TensorType.Float32
          ? this.clampedFloat(op.name, op.activation, emit)
          : this.activated(op.name, result, op.activation, emit);
      }
      case OpKind.Constant: {
        const size = op.shape.reduce((product, dim) => product * dim, 1);
        const codes = new Int8Array(this.words(op.offset, size).buffer, 0, size);
        return this.constant(op.name, Int32Array.from(codes), op.shape);
      }
      case OpKind.Cast:
        return inputs[0];
      case OpKind.FloatAffine: {
        const numbers = (offset: number) => new Float32Array(this.words(offset, 4 * op.channels).buffer);
        const product = this.arithmetic(op.name, 'Mul', inputs[0], numbers(op.aOffset), 1);
        const sum = this.arithmetic(op.name, 'AddV2', product, numbers(op.bOffset), 0);
        return this.clampedFloat(op.name, op, () => sum, ['linear']);
      }
      case OpKind.QuantizeInt16:
      case OpKind.QuantizeDynamic:
      case OpKind.QuantizeGrid:
      case OpKind.FloatGate:
      case OpKind.FloatFunction:
        throw new Error(`${OpKind[op.kind]} has no kernel of its own.`);
    }
  }

  /** Real values with numbers, one or one a channel; as they are where all of these change nothing. */
  private arithmetic(
    name: string,
    op: string,
    x: TensorRef,
    numbers: Float32Array,
    neutral: number,
  ): TensorRef {
    if (numbers.every((number) => number === neutral)) return x;
    return this.node(name, op, [x, this.constant(`${name}/${op}`, numbers)], { T: attr.dtype('float32') });
  }

  private pool(
    op: Extract<Op, { kind: OpKind.MaxPool | OpKind.AvgPool }>,
    inputs: readonly TensorRef[],
    input: TensorSpec,
    result: TensorSpec,
  ): TensorRef {
    const name = op.kind === OpKind.MaxPool ? 'QuantizedMaxPool' : 'QuantizedAvgPool';
    const float = result.type === TensorType.Float32;
    const attrs = {
      ...windowAttrs(op.window),
      filterSize: attr.ints(op.window.kernel),
      ...affineAttrs('input', input),
      ...(float ? { floatOutput: attr.bool(true) } : affineAttrs('output', result)),
    };
    const emit = () => this.node(op.name, name, inputs, attrs);
    if (float) return this.clampedFloat(op.name, op.activation, emit, ['linear']);
    const { codeMin = -128, codeMax = 127 } = op.activation;
    return codeMin === -128 && codeMax === 127
      ? emit()
      : this.clampedCodes(op.name, emit(), codeMin, codeMax);
  }

  private weighted(
    op: Op & { filter: FilterRef; activation: Activation },
    kernel: string,
    x: TensorRef,
    shape: readonly number[],
    channels: number,
    attrs: Attrs,
  ): TensorRef {
    const { filter, scales, bias, attrs: stored } = this.filter(op.name, op.filter, shape, channels);
    const fixed = {
      ...attrs,
      ...stored,
      filterShape: attr.ints(shape),
      ...affineAttrs('input', this.spec(op.inputs[0])),
    };
    const result = this.spec(op.output);
    const emit = (more: Attrs) =>
      this.node(op.name, kernel, [x, filter, scales, bias], { ...fixed, ...more });
    return result.type === TensorType.Float32
      ? this.clampedFloat(op.name, op.activation, emit)
      : this.activated(op.name, result, op.activation, emit);
  }

  /** The constants that a kernel takes as its filter, and what tells it how they are stored. */
  private filter(
    name: string,
    ref: FilterRef,
    shape: readonly number[],
    channels: number,
    floatBias = ref.format !== WeightFormat.Int8,
  ): { filter: TensorRef; scales: TensorRef; bias: TensorRef; attrs: Attrs } {
    const { filterOffset, scaleOffset, biasOffset } = ref;
    const depth = shape.reduce((product, d) => product * d, 1) / channels;
    const filter = (rowBytes: number) =>
      this.constant(`${name}/filter`, this.words(filterOffset, channels * rowBytes));
    const biasWords =
      biasOffset === undefined ? new Int32Array(channels) : this.words(biasOffset, 4 * channels);
    const bias = this.constant(`${name}/bias`, floatBias ? new Float32Array(biasWords.buffer) : biasWords);
    if (ref.format === WeightFormat.Int8) {
      const scales = new Float32Array(this.words(scaleOffset, 4 * channels).buffer);
      return {
        filter: filter(depth),
        scales: this.constant(`${name}/filterScale`, scales),
        bias,
        attrs: {},
      };
    }
    if (ref.format === WeightFormat.Int16)
      throw new Error(`'${name}' has int16 weights, which no kernel takes.`);
    const { group, unit, levelsOffset } = ref;
    return {
      filter: filter(filterRowBytes(ref.format, depth)),
      scales: this.constant(
        `${name}/filterScale`,
        this.words(scaleOffset, 2 * channels * groupsOf({ depth, group })),
      ),
      bias,
      attrs: {
        weightFormat: attr.string(WeightFormat[ref.format].toLowerCase()),
        levels: attr.ints(Array.from(new Int8Array(this.words(levelsOffset, 16).buffer))),
        group: attr.int(group),
        unit: attr.float(Math.fround(unit)),
      },
    };
  }

  /** A kernel that stores real values, and the clamp after it, unless it is one of the kernel's own. */
  private clampedFloat(
    name: string,
    { floatMin, floatMax }: Activation,
    emit: (attrs: Attrs) => TensorRef,
    own: readonly ActivationName[] = ['linear', 'relu', 'relu6'],
  ): TensorRef {
    const bounds = [floatMin ?? Number.NEGATIVE_INFINITY, floatMax ?? Number.POSITIVE_INFINITY];
    const known = own.find((n) => clampBounds(n)!.every((b, i) => b === bounds[i]));
    if (known) return emit({ activation: attr.string(known) });
    const [min, max] = bounds.map((b, i) => this.constant(`${name}/bound_${i}`, Float32Array.of(b), []));
    return this.node(name, 'ClipByValue', [emit({}), min, max], { T: attr.dtype('float32') });
  }

  /** A kernel that stores codes, and what its activation needs beyond a clamp that it knows. */
  private activated(
    name: string,
    result: TensorSpec,
    activation: Activation,
    emit: (attrs: Attrs) => TensorRef,
  ): TensorRef {
    const { tableOffset, preScale = 1, preZeroPoint = 0, codeMin = -128, codeMax = 127 } = activation;
    const before =
      tableOffset === undefined ? result : { ...result, scale: preScale, zeroPoint: preZeroPoint };
    const known = clampName(codeMin, codeMax, before);
    const codes = emit({
      ...affineAttrs('output', before),
      ...(known && { activation: attr.string(known) }),
    });
    const clamped = known ? codes : this.clampedCodes(name, codes, codeMin, codeMax);
    return tableOffset === undefined ? clamped : this.lookup(name, clamped, tableOffset);
  }

  private clampedCodes(name: string, codes: TensorRef, min: number, max: number): TensorRef {
    const bound = (value: number) => this.constant(`${name}/bound`, Int32Array.of(value), []);
    const type = { T: attr.dtype('int32') };
    return this.node(
      name,
      'Minimum',
      [this.node(name, 'Maximum', [codes, bound(min)], type), bound(max)],
      type,
    );
  }

  private lookup(name: string, codes: TensorRef, tableOffset: number): TensorRef {
    const bytes = this.words(tableOffset, TABLE_ENTRIES);
    return this.gather(name, codes, Int32Array.from(new Int8Array(bytes.buffer)));
  }

  private floatTable({ tableOffset }: Extract<Op, { kind: OpKind.Lookup }>): Float32Array {
    return new Float32Array(this.words(tableOffset, 4 * TABLE_ENTRIES).buffer);
  }

  private gather(name: string, codes: TensorRef, entries: Int32Array | Float32Array): TensorRef {
    const table = this.constant(`${name}/table`, entries);
    const half = this.constant(`${name}/offset`, Int32Array.of(TABLE_ENTRIES / 2), []);
    const axis = this.constant(`${name}/axis`, Int32Array.of(0), []);
    const type = { T: attr.dtype('int32') };
    const index = this.node(name, 'AddV2', [codes, half], type);
    return this.node(name, 'GatherV2', [table, index, axis], {
      Tparams: attr.dtype(entries instanceof Float32Array ? 'float32' : 'int32'),
      batch_dims: attr.int(0),
    });
  }
}

/**
 * Adds the nodes of a program to a graph.
 *
 * @param inputs the float32 tensors that the program reads
 * @returns the float32 tensors that it computes
 */
export function expandProgram(
  editor: GraphEditor,
  program: Program,
  weights: Int32Array,
  inputs: readonly TensorRef[],
): TensorRef[] {
  return new Expansion(editor, program, weights).run(inputs);
}
