/** Activation functions, by the names that Keras and TF.js give them, and the layers that only apply one. */
import { attr } from '../attrs';
import type { TensorRef } from '../ir';
import { isRecord } from '../json';
import { snakeCase } from './config';
import type { LayerCall, LayerReader } from './layer-call';
import type { LayerTensor } from './layout';

type Pointwise = (call: LayerCall, x: TensorRef) => TensorRef;

function simple(op: string): Pointwise {
  return (call, x) => call.op(op, [x]);
}

/** 0.2 x + 0.5, or x / 6 + 0.5 since Keras 3, clamped to [0, 1]. */
function hardSigmoid(call: LayerCall, x: TensorRef): TensorRef {
  const scaled = call.op('Mul', [x, call.scalar('slope', call.keras3 ? 1 / 6 : 0.2)]);
  const shifted = call.op('AddV2', [scaled, call.scalar('shift', 0.5)]);
  return clip(call, shifted, 0, 1);
}

function clip(call: LayerCall, x: TensorRef, min: number, max: number): TensorRef {
  return call.op('ClipByValue', [x, call.scalar('min', min), call.scalar('max', max)]);
}

/** x / (|x| + 1) */
function softsign(call: LayerCall, x: TensorRef): TensorRef {
  const divisor = call.op('AddV2', [call.op('Abs', [x]), call.scalar('one', 1)]);
  return call.op('RealDiv', [x, divisor]);
}

/** x sigmoid(x): Ramachandran et al. 2017. */
function swish(call: LayerCall, x: TensorRef): TensorRef {
  return call.op('Mul', [call.op('Sigmoid', [x]), x]);
}

/** x tanh(softplus(x)): Misra 2019. */
function mish(call: LayerCall, x: TensorRef): TensorRef {
  return call.op('Mul', [x, call.op('Tanh', [call.op('Softplus', [x])])]);
}

/** x (1 + erf(x / sqrt 2)) / 2: Hendrycks and Gimpel 2016. */
function gelu(call: LayerCall, x: TensorRef): TensorRef {
  const erf = call.op('Erf', [call.op('RealDiv', [x, call.scalar('sqrt2', Math.SQRT2)])]);
  const distribution = call.op('Mul', [
    call.scalar('half', 0.5),
    call.op('AddV2', [call.scalar('one', 1), erf]),
  ]);
  return call.op('Mul', [x, distribution]);
}

/** The same with tanh in the place of erf: x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. */
function geluNew(call: LayerCall, x: TensorRef): TensorRef {
  const cube = call.op('Mul', [call.op('Square', [x]), x]);
  const inner = call.op('AddV2', [x, call.op('Mul', [cube, call.scalar('cubic', 0.044715)])]);
  const tanh = call.op('Tanh', [call.op('Mul', [inner, call.scalar('slope', Math.sqrt(2 / Math.PI))])]);
  const half = call.op('Mul', [x, call.scalar('half', 0.5)]);
  return call.op('Mul', [half, call.op('AddV2', [tanh, call.scalar('one', 1)])]);
}

const POINTWISE: Readonly<Record<string, Pointwise>> = {
  linear: (_, x) => x,
  relu: simple('Relu'),
  relu6: simple('Relu6'),
  elu: simple('Elu'),
  selu: simple('Selu'),
  sigmoid: simple('Sigmoid'),
  tanh: simple('Tanh'),
  softplus: simple('Softplus'),
  hard_sigmoid: hardSigmoid,
  softsign,
  swish,
  silu: swish,
  mish,
  gelu,
  gelu_new: geluNew,
};

/** TF.js's softmaxes work along the last axis, which must then be the layer's last. */
const ALONG_LAST_AXIS: Readonly<Record<string, string>> = { softmax: 'Softmax', log_softmax: 'LogSoftmax' };

function activationName(call: LayerCall, key = 'activation', byDefault = 'linear'): string {
  const value = call.config.get(key) ?? byDefault;
  const name = isRecord(value) ? value.class_name : value;
  if (typeof name !== 'string') throw call.config.expected('a name', key, value);
  return snakeCase(name);
}

/** The function of each element that a key of the layer's configuration names. */
export function pointwise(call: LayerCall, key: string, byDefault: string): (x: TensorRef) => TensorRef {
  const name = activationName(call, key, byDefault);
  const found = POINTWISE[name];
  if (!found) throw call.config.error(`its ${key} '${name}' is not known.`);
  return (x) => found(call, x);
}

/** Applies the activation that the layer's configuration names to the layer's result. */
export function activate(call: LayerCall, x: LayerTensor): LayerTensor {
  const name = activationName(call);
  const known = POINTWISE[name];
  if (known) return call.like(x, known(call, x.ref));
  const op = ALONG_LAST_AXIS[name];
  if (op) return call.result(call.op(op, [call.plain(x)]));
  throw call.config.error(`its activation '${name}' is not known.`);
}

const activation: LayerReader = (call) => activate(call, call.input);

const relu: LayerReader = (call) => {
  const { config, input } = call;
  config.refuse('negative_slope', 0);
  config.refuse('threshold', 0);
  if (config.get('max_value') === undefined) return call.like(input, call.op('Relu', [input.ref]));
  const max = config.number('max_value');
  return call.like(input, max === 6 ? call.op('Relu6', [input.ref]) : clip(call, input.ref, 0, max));
};

const leakyRelu: LayerReader = (call) => {
  const { config, input } = call;
  const alpha = config.number('alpha', config.number('negative_slope', 0.3));
  return call.like(input, call.op('LeakyRelu', [input.ref], { alpha: attr.float(alpha) }));
};

const elu: LayerReader = (call) => {
  call.config.refuse('alpha', 1, 'TF.js knows alpha 1 only');
  return call.like(call.input, call.op('Elu', [call.input.ref]));
};

/** x for x > theta, else 0. */
const thresholdedRelu: LayerReader = (call) => {
  const x = call.input.ref;
  const above = call.op('Greater', [x, call.scalar('theta', call.config.number('theta', 1))]);
  const mask = call.op('Cast', [above], { SrcT: attr.dtype('bool'), DstT: attr.dtype('float32') });
  return call.like(call.input, call.op('Mul', [x, mask]));
};

const prelu: LayerReader = (call) => {
  const { config, input } = call;
  const shared = new Set(config.get('shared_axes') === undefined ? [] : config.integers('shared_axes'));
  const shape = input.shape
    .slice(1)
    .map((size, i) => (shared.has(i + 1) ? 1 : call.known(size, `its input's dimension ${i + 1}`)));
  const alpha = call.weight('alpha', shape);
  return call.result(call.op('Prelu', [call.plain(input), call.constant('alpha', alpha)]));
};

const softmax: LayerReader = (call) => {
  const { config, input } = call;
  const [axis, ...more] = config.integers('axis', [1]);
  const rank = input.shape.length;
  if (more.length > 0 || (axis !== -1 && axis !== rank - 1)) {
    throw config.error(
      `its axis is ${JSON.stringify(config.get('axis') ?? 1)}; TF.js knows the last axis only.`,
    );
  }
  return call.result(call.op('Softmax', [call.plain(input)]));
};

export const ACTIVATION_LAYERS: Readonly<Record<string, LayerReader>> = {
  Activation: activation,
  ReLU: relu,
  LeakyReLU: leakyRelu,
  ELU: elu,
  PReLU: prelu,
  ThresholdedReLU: thresholdedRelu,
  Softmax: softmax,
};
