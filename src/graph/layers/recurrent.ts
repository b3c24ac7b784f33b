/**
 * Recurrent layers, written out step by step: a graph of TF.js that runs at once has no loops. What every step computes
 * of its input alone is one product for all of them.
 */
import { attr } from '../attrs';
import type { Constant, TensorRef } from '../ir';
import { sliceAttrs } from '../strided-slice';
import { pointwise } from './activations';
import { type LayerCall, type LayerReader, windowAttrs } from './layer-call';
import { type LayerTensor, PLAIN } from './layout';

/** What a step hands to the next; a cell state where there is one. */
interface State {
  readonly hidden: TensorRef;
  readonly cell?: TensorRef;
}

/** One step: of the product of its input [batch, gates * units] and the state before, which the first has not. */
type Step = (input: TensorRef, state: State | undefined) => State;

/** Takes parts of [batch, gates * units]. */
function gateSlicer(
  call: LayerCall,
  units: number,
): (x: TensorRef, gate: number, count?: number) => TensorRef {
  const begins = new Map<number, TensorRef>();
  const sizes = new Map<number, TensorRef>();
  const cached = (map: Map<number, TensorRef>, name: string, key: number, values: number[]) => {
    const known = map.get(key) ?? call.ints(name, values);
    map.set(key, known);
    return known;
  };
  return (x, gate, count = 1) => {
    const begin = cached(begins, 'gate', gate, [0, gate * units]);
    const size = cached(sizes, 'units', count, [-1, count * units]);
    return call.op('Slice', [x, begin, size], { Index: attr.dtype('int32') });
  };
}

function add(call: LayerCall, a: TensorRef, b: TensorRef | undefined): TensorRef {
  return b ? call.op('AddV2', [a, b]) : a;
}

const PRODUCT = { transpose_a: { b: false }, transpose_b: { b: false } };

function product(call: LayerCall, a: TensorRef, weights: TensorRef): TensorRef {
  return call.op('MatMul', [a, weights], PRODUCT);
}

interface Weights {
  /** For all steps at once: [batch, 1, steps, gates * units], bias added. */
  readonly inputs: TensorRef;
  /** [units, gates * units] */
  readonly recurrent: Constant;
  /** [2, gates * units], of the inputs and of the recurrent product. */
  readonly biases?: Constant;
}

/** A product of all steps, and of the weights what the steps need. */
function weightsOf(call: LayerCall, units: number, gates: number, ownBias: boolean): Weights {
  const { builder, config } = call;
  const input = call.inputOfRank(3);
  const features = call.known(input.shape[2], 'the features of its input');
  const width = gates * units;
  const kernel = call.weight('kernel', [features, width]);
  const recurrent = call.weight('recurrent_kernel', [units, width]);
  const filter = call.constant('kernel', { ...kernel, shape: [1, 1, features, width] });
  const attrs = windowAttrs([1, 1], 'valid', { dilations: attr.ints([1, 1, 1, 1]) });
  const products = call.op('Conv2D', [builder.image(input), filter], attrs);
  if (!config.flag('use_bias', true)) return { inputs: products, recurrent };
  const bias = call.weight('bias', ownBias ? [2, width] : [width]);
  // What is added to the recurrent product of a gate may as well be added to that of the input, but for the candidate's.
  const summed = ownBias
    ? Float32Array.from(
        { length: width },
        (_, i) => bias.values[i] + (i < 2 * units ? bias.values[width + i] : 0),
      )
    : bias.values;
  const added = ownBias ? call.floats('bias', summed) : call.constant('bias', bias);
  const format = { data_format: attr.string('NHWC') };
  return {
    inputs: call.op('BiasAdd', [products, added], format),
    recurrent,
    ...(ownBias && { biases: bias }),
  };
}

/** Columns of a matrix. */
function columns(
  call: LayerCall,
  name: string,
  { values, shape }: Constant,
  begin: number,
  end: number,
): TensorRef {
  const [rows, width] = shape;
  const count = end - begin;
  const taken = Float32Array.from(
    { length: rows * count },
    (_, i) => values[Math.floor(i / count) * width + begin + (i % count)],
  );
  return call.floats(name, taken, [rows, count]);
}

/** h' = f(x W + b + h R): Elman 1990. */
function simpleStep(call: LayerCall, weights: Weights): Step {
  const recurrent = call.constant('recurrent_kernel', weights.recurrent);
  const activation = pointwise(call, 'activation', 'tanh');
  return (x, state) => ({
    hidden: activation(add(call, x, state && product(call, state.hidden, recurrent))),
  });
}

/**
 * c' = s(f) c + s(i) g(c), h' = s(o) g(c'), gates in the order i, f, c, o: Hochreiter and Schmidhuber 1997.
 *
 * @param recur the recurrent product
 * @param slice takes a gate's part of a sum
 */
export function lstmStep(
  call: LayerCall,
  recur: (hidden: TensorRef) => TensorRef,
  slice: (x: TensorRef, gate: number) => TensorRef,
): Step {
  const activation = pointwise(call, 'activation', 'tanh');
  const gate = pointwise(call, 'recurrent_activation', call.keras3 ? 'sigmoid' : 'hard_sigmoid');
  return (x, state) => {
    const sum = add(call, x, state && recur(state.hidden));
    const [i, f, c, o] = [0, 1, 2, 3].map((g) => slice(sum, g));
    const kept = state && call.op('Mul', [gate(f), state.cell!]);
    const cell = add(call, call.op('Mul', [gate(i), activation(c)]), kept);
    return { hidden: call.op('Mul', [gate(o), activation(cell)]), cell };
  };
}

/**
 * h' = z h + (1 - z) g(x + r h R), gates in the order z, r, h; the reset gate r before the product, or after it:
 * Cho et al. 2014.
 */
function gruStep(call: LayerCall, units: number, weights: Weights, resetAfter: boolean): Step {
  const activation = pointwise(call, 'activation', 'tanh');
  const gate = pointwise(call, 'recurrent_activation', call.keras3 ? 'sigmoid' : 'hard_sigmoid');
  const slice = gateSlicer(call, units);
  const one = call.scalar('one', 1);
  const blend = (z: TensorRef, candidate: TensorRef, before: TensorRef | undefined): State => {
    const fresh = call.op('Mul', [call.op('Sub', [one, z]), candidate]);
    return { hidden: add(call, fresh, before && call.op('Mul', [z, before])) };
  };
  const { recurrent, biases } = weights;
  if (resetAfter) {
    const all = call.constant('recurrent_kernel', recurrent);
    const bias = biases && call.floats('recurrent_bias', biases.values.subarray(5 * units));
    return (x, state) => {
      const own = state && product(call, state.hidden, all);
      const gates = add(call, slice(x, 0, 2), own && slice(own, 0, 2));
      const [z, r] = [0, 1].map((g) => gate(slice(gates, g)));
      const candidate = own ? add(call, slice(own, 2), bias) : bias;
      const reset = candidate && call.op('Mul', [r, candidate]);
      return blend(z, activation(add(call, slice(x, 2), reset)), state?.hidden);
    };
  }
  const gateWeights = columns(call, 'recurrent_kernel/gates', recurrent, 0, 2 * units);
  const candidateWeights = columns(call, 'recurrent_kernel/candidate', recurrent, 2 * units, 3 * units);
  return (x, state) => {
    const gates = add(call, slice(x, 0, 2), state && product(call, state.hidden, gateWeights));
    const [z, r] = [0, 1].map((g) => gate(slice(gates, g)));
    const reset = state && product(call, call.op('Mul', [r, state.hidden]), candidateWeights);
    return blend(z, activation(add(call, slice(x, 2), reset)), state?.hidden);
  };
}

/** Longer sequences make graphs that take minutes to convert. */
const MAX_STEPS = 1024;

/** The number of steps, which must be known: each becomes nodes of its own. */
function stepsOf(call: LayerCall, rank: number): number {
  const steps = call.inputOfRank(rank).shape[1];
  if (steps > 0 && steps <= MAX_STEPS) return steps;
  const found = steps > 0 ? `has ${steps} steps` : 'leaves the number of steps open';
  throw call.config.error(
    `its input ${found}, and each step is written out; give the model an input of at most ${MAX_STEPS} steps, or make a ` +
      'graph model of it with tensorflowjs_converter --output_format=tfjs_graph_model.',
  );
}

/** Takes a step out of products [batch, 1, steps, gates * units]. */
function stepSlicer(call: LayerCall, products: TensorRef): (n: number) => TensorRef {
  const ones = call.ints('strides', [1, 1, 1, 1]);
  const end = call.ints('end', [0, 1, 0, 0]);
  const masks = sliceAttrs({ begin: 0b1001, end: 0b1001, shrink: 0b0110 });
  return (n) => call.op('StridedSlice', [products, call.ints('begin', [0, 0, n, 0]), end, ones], masks);
}

function stepOf(call: LayerCall, units: number): { step: Step; inputs: TensorRef } {
  const { config } = call;
  switch (config.type) {
    case 'SimpleRNN': {
      const weights = weightsOf(call, units, 1, false);
      return { step: simpleStep(call, weights), inputs: weights.inputs };
    }
    case 'LSTM': {
      const { recurrent, inputs } = weightsOf(call, units, 4, false);
      const kernel = call.constant('recurrent_kernel', recurrent);
      const recur = (hidden: TensorRef) => product(call, hidden, kernel);
      return { step: lstmStep(call, recur, gateSlicer(call, units)), inputs };
    }
    default: {
      const resetAfter = config.flag('reset_after', call.keras3);
      const weights = weightsOf(call, units, 3, resetAfter);
      return { step: gruStep(call, units, weights, resetAfter), inputs: weights.inputs };
    }
  }
}

/**
 * The hidden state of every step in their order in time, or of the last alone.
 *
 * @param rank of the input, whose axes are batch, steps, and those of a step
 * @param prepare makes what all steps share
 */
export function unroll(
  call: LayerCall,
  rank: number,
  prepare: () => { step: Step; inputOf(n: number): TensorRef },
): LayerTensor {
  const { config } = call;
  config.refuse('stateful', false, 'a converted model keeps nothing between calls');
  config.refuse('return_state', false, 'a layer has one output here');
  config.refuse('time_major', false, 'the batch comes first');
  const steps = stepsOf(call, rank);
  const { step, inputOf } = prepare();
  const backwards = config.flag('go_backwards', false);
  const hidden: TensorRef[] = [];
  let state: State | undefined;
  for (let n = 0; n < steps; n++) {
    const next = () => step(inputOf(backwards ? steps - 1 - n : n), state);
    // The first has no state before it, and fewer nodes.
    state = state ? call.repeat(next) : next();
    hidden.push(state.hidden);
  }
  if (!config.flag('return_sequences', false)) return call.result(hidden.at(-1)!, PLAIN);
  return call.result(call.op('Pack', hidden, { N: attr.int(steps), axis: attr.int(1) }), PLAIN);
}

const recurrent: LayerReader = (call) =>
  unroll(call, 3, () => {
    const { step, inputs } = stepOf(call, call.config.integer('units'));
    return { step, inputOf: stepSlicer(call, inputs) };
  });

/** What a Bidirectional makes of the results of its two layers. */
export function mergeDirections(call: LayerCall, forward: LayerTensor, backward: LayerTensor): LayerTensor {
  const mode = call.config.word('merge_mode', ['concat', 'sum', 'mul', 'ave'], 'concat');
  const sequences = forward.shape.length === 3;
  const ahead = call.plain(forward);
  const back = call.plain(backward);
  // Its steps come last first.
  const behind = sequences
    ? call.op('ReverseV2', [back, call.ints('axis', [1])], { Tidx: attr.dtype('int32') })
    : back;
  switch (mode) {
    case 'concat': {
      const axis = call.ints('axis', [forward.shape.length - 1], []);
      return call.result(
        call.op('ConcatV2', [ahead, behind, axis], { N: attr.int(2), Tidx: attr.dtype('int32') }),
      );
    }
    case 'mul':
      return call.result(call.op('Mul', [ahead, behind]));
    default: {
      const sum = call.op('AddV2', [ahead, behind]);
      return call.result(mode === 'sum' ? sum : call.op('Mul', [sum, call.scalar('share', 0.5)]));
    }
  }
}

export const RECURRENT_LAYERS: Readonly<Record<string, LayerReader>> = {
  SimpleRNN: recurrent,
  LSTM: recurrent,
  GRU: recurrent,
};
