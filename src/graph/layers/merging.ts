/** Layers that make one tensor of several. */
import { attr } from '../attrs';
import type { TensorRef } from '../ir';
import type { LayerCall, LayerReader } from './layer-call';
import { type Layout, PLAIN, physicalAxis } from './layout';

/** K.epsilon() */
const EPSILON = 1e-7;

/** The inputs lying in one way: as they come, if they agree and have the same rank. */
function aligned(call: LayerCall): { refs: TensorRef[]; layout: Layout } {
  const { inputs, config } = call;
  if (inputs.length < 2) throw config.error(`expected several inputs but it has ${inputs.length}.`);
  const [{ layout }] = inputs;
  if (inputs.every((x) => x.layout === layout)) return { refs: inputs.map((x) => x.ref), layout };
  return { refs: inputs.map((x) => call.plain(x)), layout: PLAIN };
}

/** Inputs of lower rank get axes of size 1 behind the batch, as TF.js does before it broadcasts. */
function broadcastable(call: LayerCall): { refs: TensorRef[]; layout: Layout } {
  const rank = Math.max(...call.inputs.map((x) => x.shape.length));
  if (call.inputs.every((x) => x.shape.length === rank)) return aligned(call);
  const refs = call.inputs.map((x) => {
    let ref = call.plain(x);
    for (let r = x.shape.length; r < rank; r++) {
      ref = call.op('ExpandDims', [ref, call.ints('axis', [1], [])]);
    }
    return ref;
  });
  return { refs, layout: PLAIN };
}

function elementwise(op: string): LayerReader {
  return (call) => {
    const { refs, layout } = broadcastable(call);
    return call.result(
      refs.reduce((a, b) => call.op(op, [a, b])),
      layout,
    );
  };
}

const average: LayerReader = (call) => {
  const { refs, layout } = broadcastable(call);
  const sum = refs.reduce((a, b) => call.op('AddV2', [a, b]));
  return call.result(call.op('Mul', [sum, call.scalar('share', 1 / refs.length)]), layout);
};

const concatenate: LayerReader = (call) => {
  const { config, inputs } = call;
  const rank = inputs[0]?.shape.length ?? 0;
  const axis = config.integer('axis', -1);
  if (axis < -1 || axis >= rank || inputs.some((x) => x.shape.length !== rank)) {
    throw config.error(
      `its axis is ${axis} and its inputs have the shapes ${inputs.map((x) => `[${x.shape}]`).join(', ')}; ` +
        `expected inputs of one rank, and one of their axes or -1 (TF.js takes every negative axis for the last).`,
    );
  }
  const { refs, layout } = aligned(call);
  const physical = physicalAxis({ ...inputs[0], layout }, axis);
  const attrs = { N: attr.int(refs.length), Tidx: attr.dtype('int32') };
  return call.result(call.op('ConcatV2', [...refs, call.ints('axis', [physical], [])], attrs), layout);
};

/** x / sqrt(max(sum x^2, epsilon)) */
function normalized(call: LayerCall, x: TensorRef, axis: number): TensorRef {
  const sum = call.op('Sum', [call.op('Square', [x]), call.ints('axes', [axis])], { keep_dims: { b: true } });
  const norm = call.op('Sqrt', [call.op('Maximum', [sum, call.scalar('epsilon', EPSILON)])]);
  return call.op('RealDiv', [x, norm]);
}

const dot: LayerReader = (call) => {
  const { config, inputs } = call;
  if (inputs.length !== 2) throw config.error(`expected two inputs but it has ${inputs.length}.`);
  const given = config.integers('axes');
  const axes = inputs.map((x, i) => {
    const axis = given[i] ?? given[0];
    return axis < 0 ? axis + x.shape.length : axis;
  });
  const ranks = inputs.map((x) => x.shape.length);
  const flat = ranks.every((r) => r === 2);
  if (ranks.some((r) => r < 2 || r > 3) || axes.some((a, i) => a < 1 || a >= ranks[i])) {
    throw config.error(
      `cannot multiply shapes ${inputs.map((x) => `[${x.shape}]`).join(' and ')} along axes ${axes}.`,
    );
  }
  const refs = inputs.map((x, i) => {
    const ref = call.plain(x);
    return config.flag('normalize', false) ? normalized(call, ref, axes[i]) : ref;
  });
  if (flat) {
    return call.result(
      call.op('Sum', [call.op('Mul', refs), call.ints('axes', [1])], { keep_dims: { b: true } }),
    );
  }
  const matrices = refs.map((ref, i) =>
    ranks[i] === 3 ? ref : call.op('ExpandDims', [ref, call.ints('axis', [2], [])]),
  );
  const product = call.op('BatchMatMulV2', matrices, {
    adj_x: { b: axes[0] !== 2 },
    adj_y: { b: ranks[1] === 3 && axes[1] === 2 },
  });
  if (ranks[0] === ranks[1]) return call.result(product);
  return call.result(call.builder.squeeze(`${product.node}/Squeeze`, product, ranks[0] === 2 ? 1 : 2));
};

export const MERGING_LAYERS: Readonly<Record<string, LayerReader>> = {
  Add: elementwise('AddV2'),
  Multiply: elementwise('Mul'),
  Maximum: elementwise('Maximum'),
  Minimum: elementwise('Minimum'),
  Average: average,
  Concatenate: concatenate,
  Dot: dot,
};
