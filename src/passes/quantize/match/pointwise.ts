/** Functions of one number: activations, and arithmetic with a scalar constant. */
import { numberAttr } from '../../../graph/attrs';
import { constantOf, output, refKey } from '../../../graph/edit';
import type { Graph, GraphNode, TensorRef } from '../../../graph/ir';
import { FloatFunctionKind } from '../../../program/program';
import { type ActivationName, activationFunction, clampBounds } from '../../../quantization/activation';
import { appendFloatAffine, appendFloatFunction } from '../lower/float-functions';
import type { ProgramBuilder } from '../lower/program-builder';
import type { AffineFunction } from './known-functions';
import type { Matcher, PointwiseFunction } from './quantizable';

const NAMED: Readonly<Record<string, ActivationName>> = {
  Relu: 'relu',
  Relu6: 'relu6',
  Sigmoid: 'sigmoid',
  Tanh: 'tanh',
  Elu: 'elu',
  Softplus: 'softplus',
};

/** Functions whose small results matter (probabilities): 256 codes are too few for an output of the model. */
const SQUASHING = new Set(['Sigmoid', 'Tanh', 'Softplus']);

/** Klambauer et al. 2017, equation 2. */
const SELU_SCALE = 1.0507009873554805;
const SELU_ALPHA = 1.6732632423543772;

/** Abramowitz and Stegun 1964, equation 7.1.26, as TF.js computes it: an error of at most 1.5e-7. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}

/** TensorFlow's default. */
const DEFAULT_LEAKY_ALPHA = 0.2;

const ARITHMETIC: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  AddV2: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  RealDiv: (a, b) => a / b,
  Maximum: Math.max,
  Minimum: Math.min,
};

/** The function of two numbers behind an element-wise op. */
export function arithmetic(node: GraphNode): ((a: number, b: number) => number) | undefined {
  return ARITHMETIC[node.op];
}

function scalar(graph: Graph, ref: TensorRef | undefined): number | undefined {
  const constant = constantOf(graph, ref);
  return constant?.dtype === 'float32' && constant.values.length === 1 ? constant.values[0] : undefined;
}

const FLOAT_FUNCTIONS: Readonly<Record<string, FloatFunctionKind>> = {
  Sigmoid: FloatFunctionKind.Sigmoid,
  Tanh: FloatFunctionKind.Tanh,
  Elu: FloatFunctionKind.Elu,
  Abs: FloatFunctionKind.Abs,
};

type Affine = Partial<AffineFunction>;

function floatAffine(node: GraphNode, from: TensorRef, { factor = 1, summand = 0, clamp }: Affine) {
  const affine = { factor: Float32Array.of(factor), summand: Float32Array.of(summand), clamp };
  return (builder: ProgramBuilder, result: TensorRef) =>
    appendFloatAffine(builder, node.name, from, result, affine);
}

/** How a unary function is computed on float32, if the engine can. */
function floatUnary(node: GraphNode, clamp: Affine['clamp']): PointwiseFunction['lowerFloat'] {
  const [from] = node.inputs;
  if (clamp) return floatAffine(node, from, { clamp });
  if (node.op === 'Neg') return floatAffine(node, from, { factor: -1 });
  const kind = FLOAT_FUNCTIONS[node.op];
  if (kind === undefined) return undefined;
  return (builder, result) => appendFloatFunction(builder, node.name, from, result, kind);
}

/** x op c, or c op x if swapped, as clamp(x * factor + summand), if it is one. */
function affineWith(op: string, value: number, swapped: boolean): Affine | undefined {
  switch (op) {
    case 'Add':
    case 'AddV2':
      return { summand: value };
    case 'Sub':
      return swapped ? { factor: -1, summand: value } : { summand: -value };
    case 'Mul':
      return { factor: value };
    case 'RealDiv':
      return swapped ? undefined : { factor: 1 / value };
    case 'Maximum':
      return { clamp: [value, Number.POSITIVE_INFINITY] };
    case 'Minimum':
      return { clamp: [Number.NEGATIVE_INFINITY, value] };
    default:
      return undefined;
  }
}

function unary(node: GraphNode, graph: Graph): Pick<PointwiseFunction, 'f' | 'clamp'> | undefined {
  const name = NAMED[node.op];
  if (name) return { f: activationFunction(name), clamp: clampBounds(name) };
  switch (node.op) {
    case 'LeakyRelu': {
      const alpha = numberAttr(node, 'alpha') ?? DEFAULT_LEAKY_ALPHA;
      return { f: (x) => (x < 0 ? alpha * x : x) };
    }
    case 'Selu':
      return { f: (x) => SELU_SCALE * (x < 0 ? SELU_ALPHA * Math.expm1(x) : x) };
    case 'Neg':
      return { f: (x) => -x };
    case 'Abs':
      return { f: Math.abs };
    case 'Square':
      return { f: (x) => x * x };
    case 'Erf':
      return { f: erf };
    case 'ClipByValue': {
      const min = scalar(graph, node.inputs[1]);
      const max = scalar(graph, node.inputs[2]);
      if (min === undefined || max === undefined) return undefined;
      return { f: (x) => Math.min(Math.max(x, min), max), clamp: [min, max] };
    }
    default:
      return undefined;
  }
}

function withScalar(
  node: GraphNode,
  graph: Graph,
): { input: TensorRef; f: (x: number) => number; affine?: Affine } | undefined {
  const f = arithmetic(node);
  const [a, b] = node.inputs;
  const [left, right] = [scalar(graph, a), scalar(graph, b)];
  if (!f || (left === undefined) === (right === undefined)) return undefined;
  return right !== undefined
    ? { input: a!, f: (x) => f(x, right), affine: affineWith(node.op, right, false) }
    : { input: b!, f: (x) => f(left!, x), affine: affineWith(node.op, left!, true) };
}

export const matchPointwise: Matcher = (node, { graph, shapes }) => {
  const pointwise = unary(node, graph);
  if (pointwise) {
    const lowerFloat = floatUnary(node, pointwise.clamp);
    return {
      kind: 'pointwise',
      activations: [node.inputs[0]],
      ...pointwise,
      squashes: SQUASHING.has(node.op),
      ...(lowerFloat && { lowerFloat }),
    };
  }
  const match = withScalar(node, graph);
  if (!match) return undefined;
  const rank = shapes.get(refKey(match.input))?.length;
  if (rank === undefined || rank !== shapes.get(refKey(output(node.name)))?.length) {
    return 'the shape of its input is not known, or its constant adds dimensions';
  }
  const { input, affine } = match;
  return {
    kind: 'pointwise',
    activations: [input],
    f: match.f,
    ...(affine && { lowerFloat: floatAffine(node, input, affine) }),
  };
};
