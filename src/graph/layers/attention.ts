/** Attention: softmax(q k^T) v over one sequence axis, Vaswani et al. 2017. */
import { attr } from '../attrs';
import type { TensorRef } from '../ir';
import { type LayerCall, type LayerReader, windowAttrs } from './layer-call';
import type { LayerTensor } from './layout';

interface Roles {
  readonly query: LayerTensor;
  readonly value: LayerTensor;
  readonly key: LayerTensor;
}

/** The inputs come in the order query, value, key; the key is the value where there is none. */
function rolesOf(call: LayerCall): Roles {
  const [query, value, key = value] = call.inputs;
  if (!query || !value || call.inputs.length > 3) {
    throw call.config.error(
      `expected a query, a value and perhaps a key but it has ${call.inputs.length} inputs.`,
    );
  }
  for (const { shape } of [query, value, key]) {
    if (shape.length !== 3)
      throw call.config.error(`expected inputs of rank 3 but one has the shape [${shape}].`);
  }
  return { query, value, key };
}

function batchProduct(call: LayerCall, a: TensorRef, b: TensorRef, adjointB: boolean): TensorRef {
  return call.op('BatchMatMulV2', [a, b], { adj_x: { b: false }, adj_y: { b: adjointB } });
}

/** softmax(q k^T) v with scores that may be scaled by a weight. */
const attention: LayerReader = (call) => {
  const { config } = call;
  const { query, value, key } = rolesOf(call);
  config.word('score_mode', ['dot'], 'dot');
  config.refuse('causal', false, 'masks are not supported');
  const scores = batchProduct(call, call.plain(query), call.plain(key), true);
  const scaled = config.flag('use_scale', false)
    ? call.op('Mul', [scores, call.constant('scale', call.weight('scale', []))])
    : scores;
  return call.result(batchProduct(call, call.op('Softmax', [scaled]), call.plain(value), false));
};

/** A product along the last of three axes, as a convolution with a 1x1 window: [batch, 1, steps, outputs]. */
function projected(call: LayerCall, x: LayerTensor, name: string, from: number[], to: number[]): TensorRef {
  const count = (sizes: number[]) => sizes.reduce((product, size) => product * size, 1);
  const kernel = call.weight(`${name}/kernel`, [...from, ...to]);
  const filter = call.constant(`${name}/kernel`, { ...kernel, shape: [1, 1, count(from), count(to)] });
  const attrs = windowAttrs([1, 1], 'valid', { dilations: attr.ints([1, 1, 1, 1]) });
  const y = call.op('Conv2D', [call.builder.image(x), filter], attrs);
  if (!call.config.flag('use_bias', true)) return y;
  const bias = call.weight(`${name}/bias`, to);
  const added = call.constant(`${name}/bias`, { ...bias, shape: [count(to)] });
  return call.op('BiasAdd', [y, added], { data_format: attr.string('NHWC') });
}

const multiHeadAttention: LayerReader = (call) => {
  const { config } = call;
  const { query, value, key } = rolesOf(call);
  config.refuse('attention_axes', 1, 'attention is along the second axis here');
  const heads = config.integer('num_heads');
  const keySize = config.integer('key_dim');
  const valueSize = config.get('value_dim') === undefined ? keySize : config.integer('value_dim');
  const outputShape = [config.get('output_shape') ?? query.shape[2]].flat() as number[];
  if (outputShape.length !== 1) throw config.expected('one size', 'output_shape', outputShape);
  /** [batch, heads, steps, size] */
  const split = (x: LayerTensor, name: string, size: number): TensorRef => {
    const features = call.known(x.shape[2], 'the features of its input');
    const steps = call.known(x.shape[1], 'the number of steps of its input');
    const flat = projected(call, x, name, [features], [heads, size]);
    return call.op('Transpose', [
      call.reshape(flat, [-1, steps, heads, size]),
      call.ints('perm', [0, 2, 1, 3]),
    ]);
  };
  const q = split(query, 'query', keySize);
  const k = split(key, 'key', keySize);
  const v = split(value, 'value', valueSize);
  const scaled = call.op('Mul', [q, call.scalar('scale', 1 / Math.sqrt(keySize))]);
  const weights = call.op('Softmax', [batchProduct(call, scaled, k, true)]);
  const mixed = call.op('Transpose', [
    batchProduct(call, weights, v, false),
    call.ints('perm', [0, 2, 1, 3]),
  ]);
  const joined = call.result(call.reshape(mixed, [-1, query.shape[1], heads * valueSize]));
  const output = projected(call, joined, 'attention_output', [heads, valueSize], outputShape);
  return call.result(call.builder.squeeze(`${output.node}/Squeeze`, output, 1));
};

export const ATTENTION_LAYERS: Readonly<Record<string, LayerReader>> = {
  Attention: attention,
  MultiHeadAttention: multiHeadAttention,
};
