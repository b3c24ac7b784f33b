/** Collects the nodes and constants of an ONNX model while the nodes of a graph are translated. */
import { constantOf, refKey } from '../../src/graph/edit';
import type { Shape, Shapes } from '../../src/graph/infer-shapes';
import type { Graph, GraphNode, TensorRef } from '../../src/graph/ir';
import type { AffineParams } from '../../src/program/affine-params';
import { permute, TO_CHANNELS_FIRST, transpose } from './layout';
import type { AttributeValue, ElementType, OnnxNode, Operand } from './model';

/** Which tensors are quantized, with what; and the nodes whose weights are. */
export interface Quantization {
  readonly params: ReadonlyMap<string, AffineParams>;
  readonly weighted: ReadonlySet<string>;
  /** Means of channels, to correct biases with. */
  readonly means: ReadonlyMap<string, Float64Array>;
  /** 7-bit weights: onnxruntime's u8 by s8 products saturate at 16 bits where the machine has no VNNI. */
  readonly narrowWeights: boolean;
}

export class OnnxBuilder {
  readonly nodes: OnnxNode[] = [];
  readonly constants = new Map<string, Operand>();
  private readonly values = new Map<string, string>();

  constructor(
    readonly graph: Graph,
    private readonly shapes: Shapes,
    private readonly quantization?: Quantization,
  ) {}

  /** @throws Error where it is not known */
  shape(ref: TensorRef): Shape {
    const shape = this.shapes.get(refKey(ref));
    if (!shape) throw new Error(`The shape of '${refKey(ref)}' is not known.`);
    return shape;
  }

  private free(name: string, taken: (name: string) => boolean): string {
    let free = name;
    for (let i = 1; taken(free); i++) free = `${name}_${i}`;
    return free;
  }

  constant(name: string, type: ElementType, shape: readonly number[], values: ArrayLike<number>): string {
    const free = this.free(name, (n) => this.constants.has(n));
    this.constants.set(free, { type, shape, values });
    return free;
  }

  /** @returns the name of the node's output */
  node(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): string {
    const output = `${opType}_${this.nodes.length}`;
    this.nodes.push({ opType, inputs, output, attributes });
    return output;
  }

  /** Says which ONNX value is a tensor of the graph; quantizes it where the tensor is quantized. */
  define(ref: TensorRef, value: string): void {
    const params = this.paramsOf(ref);
    this.values.set(refKey(ref), params ? this.requantize(value, params) : value);
  }

  /** The ONNX value of a tensor: an activation, or a float constant with channels first. */
  read(ref: TensorRef, rank: number): string {
    const value = this.values.get(refKey(ref));
    if (value !== undefined) return value;
    const constant = constantOf(this.graph, ref);
    if (constant?.dtype !== 'float32') throw new Error(`'${refKey(ref)}' is no float tensor.`);
    const name = `${refKey(ref)}/${rank}`;
    if (!this.constants.has(name)) {
      const { shape, values } = channelsFirstConstant(constant.shape, constant.values as Float32Array, rank);
      this.constants.set(name, { type: 'float32', shape, values });
    }
    return name;
  }

  paramsOf(ref: TensorRef): AffineParams | undefined {
    return this.quantization?.params.get(refKey(ref));
  }

  quantizesWeightsOf(node: GraphNode): boolean {
    return this.quantization?.weighted.has(node.name) === true;
  }

  meansOf(ref: TensorRef): Float64Array | undefined {
    return this.quantization?.means.get(refKey(ref));
  }

  get narrowWeights(): boolean {
    return this.quantization?.narrowWeights === true;
  }

  /** A value as its 8-bit codes stand for it. */
  requantize(value: string, params: AffineParams): string {
    const parameters = this.affine(value, params);
    const codes = this.node('QuantizeLinear', [value, ...parameters]);
    return this.node('DequantizeLinear', [codes, ...parameters]);
  }

  private affine(name: string, { scale, zeroPoint }: AffineParams): [scale: string, zeroPoint: string] {
    return [
      this.constant(`${name}/scale`, 'float32', [], [scale]),
      this.constant(`${name}/zero`, 'uint8', [], [zeroPoint + 128]),
    ];
  }
}

/** A constant that broadcasts along the last axis with channels last, made to broadcast with channels first. */
function channelsFirstConstant(shape: readonly number[], values: Float32Array, rank: number): Operand {
  if (rank !== 4 || values.length === 1) return { type: 'float32', shape, values };
  const full = [...new Array<number>(4 - shape.length).fill(1), ...shape];
  return {
    type: 'float32',
    shape: permute(full, TO_CHANNELS_FIRST),
    values: transpose(values, full, TO_CHANNELS_FIRST),
  };
}
