/** A chain of depthwise separable convolutions with random weights, as it comes out of a converter: nothing is fused. */
import { attr, shapeToJson } from '../../src/graph/attrs';
import { output } from '../../src/graph/edit';
import type { Constant, Graph, GraphNode, RawAttr } from '../../src/graph/ir';
import { Random } from './random';

const WINDOW = {
  T: attr.dtype('float32'),
  strides: attr.ints([1, 1, 1, 1]),
  dilations: attr.ints([1, 1, 1, 1]),
  padding: attr.string('SAME'),
  data_format: attr.string('NHWC'),
};
const FLOAT = { T: attr.dtype('float32') };
const KERNEL = 5;
const SIDE = 8;

/** @returns a graph of 2 * `count` convolutions whose weights are half-precision numbers */
export function blocks(count: number, channels: number): Graph {
  const random = new Random(7);
  const nodes = new Map<string, GraphNode>();
  const constants = new Map<string, Constant>();
  const add = (name: string, op: string, inputs: readonly string[], attrs: Record<string, RawAttr>) => {
    nodes.set(name, { name, op, inputs: inputs.map((input) => output(input)), attrs });
    return name;
  };
  const weights = (name: string, shape: readonly number[]) => {
    const length = shape.reduce((product, d) => product * d, 1);
    const values = Float32Array.from({ length }, () => Math.round(random.between(-255, 255)) / 1024);
    constants.set(name, { dtype: 'float32', shape, values });
    return add(name, 'Const', [], { dtype: attr.dtype('float32') });
  };
  const shape = [-1, SIDE, SIDE, channels];
  let last = add('x', 'Placeholder', [], {
    dtype: attr.dtype('float32'),
    shape: { shape: shapeToJson(shape) },
  });
  for (let i = 0; i < count; i++) {
    const at = `block${i}`;
    const depthwise = weights(`${at}/depthwise/weights`, [KERNEL, KERNEL, channels, 1]);
    const pointwise = weights(`${at}/pointwise/weights`, [1, 1, channels, channels]);
    const bias = weights(`${at}/bias`, [channels]);
    add(`${at}/depthwise`, 'DepthwiseConv2dNative', [last, depthwise], WINDOW);
    add(`${at}/pointwise`, 'Conv2D', [`${at}/depthwise`, pointwise], WINDOW);
    add(`${at}/biased`, 'BiasAdd', [`${at}/pointwise`, bias], FLOAT);
    add(`${at}/relu`, 'Relu', [`${at}/biased`], FLOAT);
    last = add(`${at}/sum`, 'AddV2', [`${at}/relu`, last], FLOAT);
  }
  return {
    nodes,
    constants,
    inputs: [{ name: 'x', ref: output('x'), dtype: 'float32', shape }],
    outputs: [{ name: 'y', ref: output(last), dtype: 'float32', shape }],
    source: {},
  };
}
