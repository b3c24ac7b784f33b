/** Normalizations, with the statistics of training where there are some. */
import { attr } from '../attrs';
import type { Shape } from '../infer-shapes';
import type { Constant, TensorRef } from '../ir';
import type { LayerCall, LayerReader } from './layer-call';
import { physicalAxis } from './layout';

/** A weight that may be switched off, in which case every value is the neutral one. */
function weightOr(call: LayerCall, name: string, on: boolean, shape: Shape, neutral: number): Constant {
  if (on) return call.weight(name, shape);
  const count = shape.reduce((product, d) => product * d, 1);
  return { dtype: 'float32', shape, values: new Float32Array(count).fill(neutral) };
}

const batchNormalization: LayerReader = (call) => {
  const { config, input, builder } = call;
  const axes = config.integers('axis', [-1]);
  if (axes.length !== 1) throw config.expected('one axis', 'axis', axes);
  const axis = axes[0] < 0 ? axes[0] + input.shape.length : axes[0];
  const channels = [call.known(input.shape[axis] ?? 0, 'the channels of its input')];
  const names = ['gamma', 'beta', 'moving_mean', 'moving_variance'];
  const parameters = [
    weightOr(call, 'gamma', config.flag('scale', true), channels, 1),
    weightOr(call, 'beta', config.flag('center', true), channels, 0),
    call.weight('moving_mean', channels),
    call.weight('moving_variance', channels),
  ];
  const epsilon = config.number('epsilon', 1e-3);
  const physicalRank = builder.shapeOf(input.ref).length;
  if (physicalAxis(input, axis) === physicalRank - 1) {
    const refs = parameters.map((p, i) => call.constant(names[i], p));
    const attrs = {
      epsilon: attr.float(epsilon),
      is_training: { b: false },
      data_format: attr.string('NHWC'),
    };
    return call.like(input, call.op('FusedBatchNormV3', [input.ref, ...refs], attrs));
  }
  // Along another axis: the same as a product and a sum, Ioffe and Szegedy 2015.
  const [gamma, beta, mean, variance] = parameters.map((p) => p.values);
  const scale = Float32Array.from(gamma, (g, c) => g / Math.sqrt(variance[c] + epsilon));
  const shift = Float32Array.from(beta, (b, c) => b - mean[c] * scale[c]);
  const shape = input.shape.slice(1).map((_, i) => (i + 1 === axis ? channels[0] : 1));
  const scaled = call.op('Mul', [call.plain(input), call.floats('scale', scale, [1, ...shape])]);
  return call.result(call.op('AddV2', [scaled, call.floats('shift', shift, [1, ...shape])]));
};

/** (x - mean) / sqrt(variance + epsilon) * gamma + beta, with the statistics of each sample: Ba et al. 2016. */
const layerNormalization: LayerReader = (call) => {
  const { config, input } = call;
  const rank = input.shape.length;
  const axes = config.integers('axis', [-1]).map((a) => (a < 0 ? a + rank : a));
  if (axes.some((a) => a < 1 || a >= rank)) throw config.expected(`axes below ${rank}`, 'axis', axes);
  const shape = axes.map((a) => call.known(input.shape[a], `its input's dimension ${a}`));
  const spread = input.shape.map((d, i) => (axes.includes(i) ? d : 1));
  const parameter = (name: string, on: boolean, neutral: number): TensorRef =>
    call.constant(name, { ...weightOr(call, name, on, shape, neutral), shape: spread });
  const x = call.plain(input);
  const along = call.ints('axes', axes);
  const centred = call.op('Sub', [x, call.op('Mean', [x, along], { keep_dims: { b: true } })]);
  const variance = call.op('Mean', [call.op('Square', [centred]), along], { keep_dims: { b: true } });
  const epsilon = call.scalar('epsilon', config.number('epsilon', 1e-3));
  const normal = call.op('Mul', [centred, call.op('Rsqrt', [call.op('AddV2', [variance, epsilon])])]);
  const scaled = call.op('Mul', [normal, parameter('gamma', config.flag('scale', true), 1)]);
  return call.result(call.op('AddV2', [scaled, parameter('beta', config.flag('center', true), 0)]));
};

export const NORMALIZATION_LAYERS: Readonly<Record<string, LayerReader>> = {
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
};
