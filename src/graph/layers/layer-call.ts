/** One call of a layer: its configuration, its inputs and weights, and the nodes that it becomes. */
import { attr } from '../attrs';
import type { Shape } from '../infer-shapes';
import type { Constant, RawAttr, TensorRef } from '../ir';
import { sliceAttrs } from '../strided-slice';
import { copyOf } from '../turns';
import type { LayerConfig } from './config';
import type { Attrs, GraphBuilder } from './graph-builder';
import { CHANNELS_FIRST, type LayerTensor, type Layout, logicalShape, PLAIN } from './layout';

/** Reads one layer type: adds the nodes of a call and gives its result. */
export type LayerReader = (call: LayerCall) => LayerTensor;

/** Finds a weight of a layer by its name, or by its position among the layer's weights. */
export type WeightLookup = (layer: string, name: string, position: number) => Constant | undefined;

/** What is the same for all layers of a model. */
export interface ModelFacts {
  readonly lookup: WeightLookup;
  /** Keras 3 wrote it: some layers compute otherwise there than TF.js does, which follows Keras 2. */
  readonly keras3: boolean;
}

/** A size that is a multiple of an axis of a tensor, and some more. */
export interface ScaledSize {
  readonly axis: number;
  readonly factor: number;
  readonly more?: number;
}

const FLOAT: Attrs = { T: attr.dtype('float32') };

export class LayerCall {
  private weightsRead = 0;
  /** Nodes that `repeat` has added; undefined outside of it. */
  private repeated: number | undefined;

  constructor(
    readonly builder: GraphBuilder,
    readonly config: LayerConfig,
    readonly inputs: readonly LayerTensor[],
    /** What the names of the call's nodes start with. */
    private readonly prefix: string,
    private readonly model: ModelFacts,
  ) {}

  get keras3(): boolean {
    return this.model.keras3;
  }

  /** The one input of the layer. */
  get input(): LayerTensor {
    if (this.inputs.length !== 1)
      throw this.config.error(`expected one input but it has ${this.inputs.length}.`);
    return this.inputs[0];
  }

  /** The one input, of a given rank. */
  inputOfRank(rank: number): LayerTensor {
    const { input } = this;
    if (input.shape.length !== rank) {
      throw this.config.error(`expected an input of rank ${rank} but its shape is [${input.shape}].`);
    }
    return input;
  }

  /** A size that must be known to read the layer. */
  known(size: number, what: string): number {
    if (!(size > 0)) throw this.config.error(`${what} must be known, but it is left open by the model.`);
    return size;
  }

  /**
   * A weight of the layer. Calls must come in the order in which TF.js lists the layer's weights: Keras 3 names them by
   * number.
   *
   * @param otherName what other versions of Keras call it
   */
  weight(name: string, shape: Shape, otherName = name): Constant {
    const { layer } = this.config;
    const position = this.weightsRead++;
    const found = this.model.lookup(layer, name, position) ?? this.model.lookup(layer, otherName, position);
    if (!found) throw this.config.error(`the weights manifest has no weight '${layer}/${name}'.`);
    if (found.dtype !== 'float32' || found.shape.join() !== shape.join()) {
      throw this.config.error(
        `expected float32 of shape [${shape}] for weight '${name}' but found ${found.dtype} of shape [${found.shape}].`,
      );
    }
    return found;
  }

  /** Adds a node of float32 arithmetic. */
  op(op: string, inputs: readonly TensorRef[], attrs: Attrs = {}): TensorRef {
    const name = `${this.prefix}/${op}`;
    const copy: Attrs = this.repeated === undefined ? {} : copyOf(`${name} ${this.repeated++}`);
    return this.builder.op(name, op, inputs, { ...FLOAT, ...attrs, ...copy });
  }

  /** Adds nodes that calls before and after this one add as well: the first of each are copies of one another, and so on. */
  repeat<T>(add: () => T): T {
    this.repeated = 0;
    try {
      return add();
    } finally {
      this.repeated = undefined;
    }
  }

  constant(name: string, constant: Constant): TensorRef {
    return this.builder.constant(`${this.config.layer}/${name}`, constant);
  }

  floats(name: string, values: ArrayLike<number>, shape: Shape = [values.length]): TensorRef {
    return this.builder.constant(`${this.prefix}/${name}`, {
      dtype: 'float32',
      shape,
      values: Float32Array.from(values),
    });
  }

  scalar(name: string, value: number): TensorRef {
    return this.floats(name, [value], []);
  }

  ints(name: string, values: readonly number[], shape?: Shape): TensorRef {
    return this.builder.ints(`${this.prefix}/${name}`, values, shape);
  }

  /** A node's result as what the layer gives. */
  result(ref: TensorRef, layout: Layout = PLAIN): LayerTensor {
    return { ref, shape: logicalShape(this.builder.shapeOf(ref), layout), layout, dtype: 'float32' };
  }

  /** A result that lies as the input does: for functions of each element. */
  like(x: LayerTensor, ref: TensorRef): LayerTensor {
    return this.result(ref, x.layout);
  }

  plain(x: LayerTensor): TensorRef {
    return this.builder.plain(x);
  }

  /** The NHWC form of the input of a layer with a `data_format`, and how its result lies. */
  spatial(): { x: TensorRef; layout: Layout; channels: number; size: readonly [number, number] } {
    const input = this.inputOfRank(4);
    const first = this.config.word('data_format', FORMATS, 'channels_last') === 'channels_first';
    const x = first ? this.builder.channelsLast(input) : this.plain(input);
    const [, height, width, channels] = this.builder.shapeOf(x);
    return { x, layout: first ? CHANNELS_FIRST : PLAIN, channels, size: [height, width] };
  }

  /** A shape for an op to read: given sizes, and some that come of those of x, read at run time where they are open. */
  shapeLike(x: TensorRef, sizes: readonly (number | ScaledSize)[]): TensorRef {
    const shape = this.builder.shapeOf(x);
    const known = sizes.map((size) => {
      if (typeof size === 'number') return size;
      return shape[size.axis] < 0 ? size : shape[size.axis] * size.factor + (size.more ?? 0);
    });
    const fixed = known.filter((size) => typeof size === 'number');
    if (fixed.length === known.length) return this.ints('shape', fixed);
    const at = this.builder.op(`${this.prefix}/Shape`, 'Shape', [x], {
      T: attr.dtype('float32'),
      out_type: attr.dtype('int32'),
    });
    const parts = known.map((size) =>
      typeof size === 'number' ? this.ints('size', [size], []) : this.scaledSize(at, size),
    );
    return this.builder.op(`${this.prefix}/Pack`, 'Pack', parts, {
      T: attr.dtype('int32'),
      N: attr.int(parts.length),
      axis: attr.int(0),
    });
  }

  private scaledSize(shape: TensorRef, { axis, factor, more = 0 }: ScaledSize): TensorRef {
    const whole = { T: attr.dtype('int32') };
    const size = this.sizeAt(shape, axis);
    const scaled =
      factor === 1
        ? size
        : this.builder.op(`${this.prefix}/Mul`, 'Mul', [size, this.ints('factor', [factor], [])], whole);
    if (more === 0) return scaled;
    return this.builder.op(`${this.prefix}/AddV2`, 'AddV2', [scaled, this.ints('more', [more], [])], whole);
  }

  private sizeAt(shape: TensorRef, axis: number): TensorRef {
    const [begin, end, step] = [axis, axis + 1, 1].map((v, i) =>
      this.ints(['begin', 'end', 'strides'][i], [v]),
    );
    return this.builder.op(`${this.prefix}/StridedSlice`, 'StridedSlice', [shape, begin, end, step], {
      ...sliceAttrs({ shrink: 1 }),
      T: attr.dtype('int32'),
    });
  }

  /** A reshape whose dimensions are known but for one. */
  reshape(x: TensorRef, shape: Shape): TensorRef {
    if (shape.filter((d) => d < 0).length > 1) {
      throw this.config.error(`more than one dimension of its result [${shape}] is left open by the model.`);
    }
    return this.op('Reshape', [x, this.ints('shape', shape)], { Tshape: attr.dtype('int32') });
  }
}

const FORMATS = ['channels_last', 'channels_first'] as const;

/** Attributes of a convolution or a pool over height and width, or over depth as well. */
export function windowAttrs(
  strides: readonly number[],
  padding: 'same' | 'valid',
  more: Record<string, RawAttr> = {},
): Attrs {
  return {
    strides: attr.ints([1, ...strides, 1]),
    padding: attr.string(padding.toUpperCase()),
    data_format: attr.string(strides.length === 3 ? 'NDHWC' : 'NHWC'),
    ...more,
  };
}
