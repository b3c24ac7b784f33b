// The model in TensorFlow.js, over whole sequences: what is trained, and what the token-by-token model is compared with.
//
// The WebAssembly backend multiplies plain matrices fast, but batches of them and transposed ones slowly; its slice copies
// the whole of what it cuts from. So products are made of plain ones, rows are moved in arrays, and the gradients of
// attention and of the mixture are written here.

const tf = require('@tensorflow/tfjs-core');
const { heads, width, layers, experts, topK, hidden, epsilon } = require('./shape.js');

const headWidth = width / heads;
const MASKED = -1e9;

const scratch = new Map();

/** An array that the next call with the same name uses again; new ones of such sizes keep the garbage collector busy. */
function reused(name, size) {
  if (!(scratch.get(name)?.length >= size)) scratch.set(name, new Float32Array(size));
  return scratch.get(name).subarray(0, size);
}

/** Values of a tensor in the backend's memory, without a copy; valid until the next operation. */
const view = (tensor) => tf.backend().typedArrayFromHeap(tensor);

/** x [rows, a] times w [a, b]. */
const product = tf.customGrad((x, w, save) => {
  save([x, w]);
  const gradFunc = (dy, [x, w]) => [tf.matMul(dy, tf.transpose(w)), tf.matMul(tf.transpose(x), dy)];
  return { value: tf.matMul(x, w), gradFunc };
});

/** Zhang and Sennrich 2019: x / sqrt(mean(x^2) + epsilon) * gain, over each row. */
const normalize = tf.customGrad((x, gain, save) => {
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(x), 1, true), epsilon));
  const standard = tf.mul(x, inverse);
  save([standard, inverse, gain]);
  const gradFunc = (dy, [standard, inverse, gain]) => {
    const d = tf.mul(dy, gain);
    const along = tf.mul(standard, tf.mean(tf.mul(d, standard), 1, true));
    const dGain = tf.matMul(tf.ones([1, dy.shape[0]]), tf.mul(dy, standard));
    return [tf.mul(inverse, tf.sub(d, along)), tf.reshape(dGain, gain.shape)];
  };
  return { value: tf.mul(standard, gain), gradFunc };
});

/**
 * Slope of a head's linear bias.
 *
 * @see Press et al. 2022, "Train Short, Test Long: Attention with Linear Biases"
 */
const slope = (head) => 2 ** ((-8 * (head + 1)) / heads);

/** For each head [length, length], added to attention scores: -slope * distance, and the future masked. */
function attentionBiases(length) {
  return Array.from({ length: heads }, (_, head) =>
    tf.tensor2d(
      Float32Array.from({ length: length * length }, (_, i) => {
        const distance = Math.floor(i / length) - (i % length);
        return distance < 0 ? MASKED : -slope(head) * distance;
      }),
      [length, length],
    ),
  );
}

/** The part of x [sequences * length, width] that one head of one sequence has: [length, headWidth]. */
function cut(x, length, sequence, head) {
  const values = view(x);
  const part = reused('part', length * headWidth);
  for (let t = 0; t < length; t++) {
    const from = (sequence * length + t) * width + head * headWidth;
    part.set(values.subarray(from, from + headWidth), t * headWidth);
  }
  return tf.tensor2d(part, [length, headWidth]);
}

/** The inverse, into an array of the whole. */
function paste(whole, part, length, sequence, head) {
  const values = view(part);
  for (let t = 0; t < length; t++) {
    const to = (sequence * length + t) * width + head * headWidth;
    whole.set(values.subarray(t * headWidth, (t + 1) * headWidth), to);
  }
}

/** Causal attention within sequences of `length`; q, k and v are [sequences * length, width], q already scaled. */
const attention = (q, k, v, length, biases) =>
  tf.customGrad((q, k, v, save) => {
    const { shape } = q;
    const overHeads = (compute) => {
      for (let i = 0; i < (shape[0] / length) * heads; i++) {
        tf.tidy(() => compute((x) => cut(x, length, Math.floor(i / heads), i % heads), i));
      }
    };
    const put = (whole, part, i) => paste(whole, part, length, Math.floor(i / heads), i % heads);
    const shares = [];
    const mixed = reused('mixed', q.size);
    overHeads((of, i) => {
      shares.push(tf.keep(tf.softmax(tf.add(tf.matMul(of(q), tf.transpose(of(k))), biases[i % heads]))));
      put(mixed, tf.matMul(shares[i], of(v)), i);
    });
    save([q, k, v, ...shares]);
    tf.dispose(shares); // what is saved is kept

    const gradFunc = (dy, [q, k, v, ...shares]) => {
      const [dq, dk, dv] = ['dq', 'dk', 'dv'].map((name) => reused(name, q.size));
      overHeads((of, i) => {
        const d = of(dy);
        const dShares = tf.matMul(d, tf.transpose(of(v)));
        const mean = tf.sum(tf.mul(dShares, shares[i]), 1, true);
        const dScores = tf.mul(shares[i], tf.sub(dShares, mean));
        put(dq, tf.matMul(dScores, of(k)), i);
        put(dk, tf.matMul(tf.transpose(dScores), of(q)), i);
        put(dv, tf.matMul(tf.transpose(shares[i]), d), i);
      });
      return [dq, dk, dv].map((values) => tf.tensor2d(values, shape));
    };
    return { value: tf.tensor2d(mixed, shape), gradFunc };
  })(q, k, v);

/** Rows of each expert: places in `picks` [rows, topK]. */
function groupByExpert(picks) {
  const groups = Array.from({ length: experts }, () => []);
  picks.forEach((expert, place) => {
    groups[expert].push(place);
  });
  return groups;
}

const rowOf = (place) => Math.floor(place / topK);

/**
 * Sum over the picked experts of gate * relu(x w1) w2.
 *
 * x [rows, width], gates [rows, experts], w1 [experts * width, hidden], w2 [experts * hidden, width]. Only the picked
 * experts are computed, each for all of its rows at once.
 */
const mixture = (x, gates, w1, w2, picks) =>
  tf.customGrad((x, gates, w1, w2, save) => {
    const rows = x.shape[0];
    const groups = groupByExpert(picks);
    const used = groups.flatMap((places, expert) => (places.length > 0 ? [expert] : []));
    const matrixOf = (weights, expert, shape) => {
      const matrix = reused('matrix', width * hidden);
      matrix.set(view(weights).subarray(expert * matrix.length, (expert + 1) * matrix.length));
      return tf.tensor2d(matrix, shape);
    };
    const first = (expert) => matrixOf(w1, expert, [width, hidden]);
    const second = (expert) => matrixOf(w2, expert, [hidden, width]);
    const gateValues = gates.dataSync();
    const gateOf = (place) => gateValues[rowOf(place) * experts + picks[place]];
    /** Rows of the expert from [rows, width], times `factor`. */
    const pack = (values, places, factor) => {
      const packed = reused('packed', places.length * width);
      places.forEach((place, i) => {
        const from = rowOf(place) * width;
        const by = factor(place);
        for (let c = 0; c < width; c++) packed[i * width + c] = by * values[from + c];
      });
      return tf.tensor2d(packed, [places.length, width]);
    };
    const unpack = (sum, values, places, factor) => {
      places.forEach((place, i) => {
        const to = rowOf(place) * width;
        const by = factor(place);
        for (let c = 0; c < width; c++) sum[to + c] += by * values[i * width + c];
      });
    };
    const one = () => 1;

    const sum = reused('sum', rows * width).fill(0);
    const kept = used.map((expert) => {
      const input = pack(view(x), groups[expert], one);
      const inner = tf.relu(tf.matMul(input, first(expert)));
      const output = tf.matMul(inner, second(expert));
      unpack(sum, view(output), groups[expert], gateOf);
      return [input, inner, output];
    });
    save([w1, w2, ...kept.flat()]);

    const gradFunc = (dy, [_w1, _w2, ...saved]) => {
      const dx = reused('dx', rows * width).fill(0);
      const dGates = reused('dGates', rows * experts).fill(0);
      const dFirst = reused('dFirst', experts * width * hidden).fill(0);
      const dSecond = reused('dSecond', experts * hidden * width).fill(0);
      used.forEach((expert, i) => {
        const places = groups[expert];
        tf.tidy(() => {
          const [input, inner, output] = saved.slice(3 * i, 3 * i + 3);
          const dyValues = view(dy);
          const outputs = view(output);
          places.forEach((place, j) => {
            let dot = 0;
            const from = rowOf(place) * width;
            for (let c = 0; c < width; c++) dot += dyValues[from + c] * outputs[j * width + c];
            dGates[rowOf(place) * experts + expert] = dot;
          });
          const dOutput = pack(view(dy), places, gateOf);
          const dInner = tf.mul(tf.matMul(dOutput, tf.transpose(second(expert))), tf.step(inner));
          dSecond.set(view(tf.matMul(tf.transpose(inner), dOutput)), expert * hidden * width);
          dFirst.set(view(tf.matMul(tf.transpose(input), dInner)), expert * width * hidden);
          unpack(dx, view(tf.matMul(dInner, tf.transpose(first(expert)))), places, one);
        });
      });
      return [
        tf.tensor2d(dx, [rows, width]),
        tf.tensor2d(dGates, [rows, experts]),
        tf.tensor2d(dFirst, [experts * width, hidden]),
        tf.tensor2d(dSecond, [experts * hidden, width]),
      ];
    };
    return { value: tf.tensor2d(sum, [rows, width]), gradFunc };
  })(x, gates, w1, w2);

/** Softmax of the logits of the picked experts, 0 for the others: [rows, experts]. */
function gatesOf(logits, picks) {
  const mask = new Float32Array(logits.size).fill(MASKED);
  picks.forEach((expert, place) => {
    mask[rowOf(place) * experts + expert] = 0;
  });
  return tf.softmax(tf.add(logits, tf.tensor2d(mask, logits.shape)));
}

/**
 * Logits of the next character.
 *
 * @param weights tensors by name, see `weightShapes`
 * @param ids characters, [sequences * length]
 * @param length of a sequence
 * @param route (layer, logits [rows, experts]) => picks, [rows, topK]
 * @param onRouting called with (layer, logits, picks) for every layer, for the losses that training adds
 * @returns [sequences * length, vocabulary]
 */
function network(weights, ids, length, route, onRouting = () => {}) {
  const vocabulary = weights.embedding.shape[0];
  const biases = attentionBiases(length);
  let x = product(tf.cast(tf.oneHot(tf.tensor1d(ids, 'int32'), vocabulary), 'float32'), weights.embedding);
  for (let layer = 0; layer < layers; layer++) {
    const of = (name) => weights[`block${layer}/${name}`];
    const n = normalize(x, of('attention/gain'));
    const q = tf.mul(product(n, of('attention/query')), headWidth ** -0.5);
    const mixed = attention(
      q,
      product(n, of('attention/key')),
      product(n, of('attention/value')),
      length,
      biases,
    );
    x = tf.add(x, product(mixed, of('attention/output')));
    const m = normalize(x, of('mixture/gain'));
    const logits = product(m, of('mixture/router'));
    const picks = route(layer, logits.dataSync());
    onRouting(layer, logits, picks);
    x = tf.add(x, mixture(m, gatesOf(logits, picks), of('mixture/first'), of('mixture/second'), picks));
  }
  return product(normalize(x, weights.gain), weights.output);
}

/** Name, shape and standard deviation at the start (0: all ones) of every tensor. */
function weightShapes(vocabulary) {
  const shapes = [['embedding', [vocabulary, width], 0.5]];
  const deep = (2 * layers) ** -0.5;
  for (let layer = 0; layer < layers; layer++) {
    const name = `block${layer}`;
    shapes.push([`${name}/attention/gain`, [width], 0]);
    for (const which of ['query', 'key', 'value'])
      shapes.push([`${name}/attention/${which}`, [width, width], width ** -0.5]);
    shapes.push([`${name}/attention/output`, [width, width], width ** -0.5 * deep]);
    shapes.push([`${name}/mixture/gain`, [width], 0]);
    shapes.push([`${name}/mixture/router`, [width, experts], width ** -0.5]);
    shapes.push([`${name}/mixture/first`, [experts * width, hidden], (2 / width) ** 0.5]);
    shapes.push([`${name}/mixture/second`, [experts * hidden, width], hidden ** -0.5 * deep]);
  }
  shapes.push(['gain', [width], 0], ['output', [width, vocabulary], width ** -0.5 * 0.5]);
  return shapes;
}

module.exports = { network, weightShapes, slope };
