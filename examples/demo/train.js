// Trains the demo's model with TensorFlow.js and writes it, as a float graph model, to examples/demo/model:
//
//   npm run demo:train
//
// The network is a small MobileNetV2: inverted residual blocks with batch normalization and ReLU6. The WebAssembly
// backend computes convolutions fast but lacks their gradients, so those are written here from operations it has.

const fs = require('node:fs');
const path = require('node:path');
const tf = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-backend-wasm');
require('@tensorflow/tfjs-layers'); // brings the gradients
const { CLASSES, SIZE, makeRandom, makeShapes } = require('./shapes.js');

const SEED = 20;
const TRAIN = 2400;
const VALIDATE = 500;
const EPOCHS = 6;
const BATCH = 16;
const PEAK_LEARNING_RATE = 3e-3;
const EPSILON = 1e-3;
const MOMENTUM = 0.97;

const STEM = 24;
const HEAD = 512;
/** Inverted residual blocks: channels, stride; the expansion is 4. */
const BLOCKS = [
  [32, 2],
  [32, 1],
  [56, 2],
  [56, 1],
  [96, 2],
  [96, 1],
];
const EXPANSION = 4;

const random = makeRandom(SEED);
/** Box and Muller's transform. */
const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

const variables = new Map();
const statistics = new Map();

function variable(name, shape, fanIn, value) {
  if (!variables.has(name)) {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, () => value ?? normal() * Math.sqrt(2 / fanIn));
    variables.set(name, tf.keep(tf.variable(tf.tensor(values, shape), true, name)));
  }
  return variables.get(name);
}

/** Zeros between the pixels of a gradient, as a stride of 2 skipped them. */
function interleaveZeros(x) {
  const [n, h, w, c] = x.shape;
  const rows = tf.reshape(x, [n * h, 1, w * c]);
  const tall = tf.concat([rows, tf.zerosLike(rows)], 1);
  const columns = tf.reshape(tall, [n * 2 * h * w, 1, c]);
  return tf.reshape(tf.concat([columns, tf.zerosLike(columns)], 1), [n, 2 * h, 2 * w, c]);
}

/**
 * For each tap of a 3x3 kernel (SAME, stride 1): calls reduce(x under the tap, dy), both [pixels, channels]. In frames one
 * pixel wider on each side, a tap is a shift of whole rows, which the backend copies fast.
 */
function overTaps(x, dy, reduce) {
  const [n, h, w, channels] = x.shape;
  const rows = n * (h + 2) * (w + 2);
  const frame = tf.reshape(
    tf.pad(x, [
      [0, 0],
      [1, 1],
      [1, 1],
      [0, 0],
    ]),
    [rows, channels],
  );
  const gradient = tf.reshape(
    tf.pad(dy, [
      [0, 0],
      [0, 2],
      [0, 2],
      [0, 0],
    ]),
    [rows, dy.shape[3]],
  );
  return Array.from({ length: 9 }, (_, t) => {
    const shift = Math.floor(t / 3) * (w + 2) + (t % 3);
    return tf.tidy(() =>
      reduce(
        tf.slice(frame, [shift, 0], [rows - shift, channels]),
        tf.slice(gradient, [0, 0], [rows - shift, dy.shape[3]]),
      ),
    );
  });
}

/** Sum over all rows of [rows, channels], as the matrix product it is: [1, channels]. */
function sumRows(x) {
  return tf.matMul(tf.ones([1, x.shape[0]]), x);
}

/** TensorFlow pads an even input of stride 2 at its end only; the gradient is laid out accordingly. */
function alignGradient(dy, stride) {
  if (stride === 1) return dy;
  const wide = interleaveZeros(dy);
  const [n, h, w, c] = wide.shape;
  return tf.slice(
    tf.pad(wide, [
      [0, 0],
      [1, 0],
      [1, 0],
      [0, 0],
    ]),
    [0, 0, 0, 0],
    [n, h, w, c],
  );
}

const depthwise = (x, filter, stride) =>
  tf.customGrad((x, filter, save) => {
    save([x, filter]);
    const value = tf.depthwiseConv2d(x, filter, stride, 'same');
    const gradFunc = (dy, [x, filter]) => {
      const wide = alignGradient(dy, stride);
      return [
        tf.depthwiseConv2d(wide, tf.reverse(filter, [0, 1]), 1, 'same'),
        tf.reshape(
          tf.concat(
            overTaps(x, wide, (view, gradient) => sumRows(tf.mul(view, gradient))),
            0,
          ),
          filter.shape,
        ),
      ];
    };
    return { value, gradFunc };
  })(x, filter);

/** The first convolution, whose input needs no gradient. */
const stem = (x, filter) =>
  tf.customGrad((x, filter, save) => {
    save([x, filter]);
    const gradFunc = (dy, [x, filter]) => {
      const parts = overTaps(x, alignGradient(dy, 2), (view, gradient) =>
        tf.matMul(view, gradient, true, false),
      );
      return [tf.zerosLike(x), tf.reshape(tf.concat(parts, 0), filter.shape)];
    };
    return { value: tf.conv2d(x, filter, 2, 'same'), gradFunc };
  })(x, filter);

function pointwise(x, filter) {
  const [n, h, w, c] = x.shape;
  return tf.reshape(tf.matMul(tf.reshape(x, [n * h * w, c]), filter), [n, h, w, filter.shape[1]]);
}

/** Ioffe and Szegedy 2015, section 3: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, over [rows, channels]. */
const normalize = (x, gamma, beta, mean, inverse) =>
  tf.customGrad((x, gamma, beta, save) => {
    const standard = tf.mul(tf.sub(x, mean), inverse);
    save([standard, gamma, inverse]);
    const gradFunc = (dy, [standard, gamma, inverse]) => {
      const rows = dy.shape[0];
      const dBeta = sumRows(dy);
      const dGamma = sumRows(tf.mul(dy, standard));
      const centred = tf.sub(tf.sub(dy, tf.div(dBeta, rows)), tf.mul(standard, tf.div(dGamma, rows)));
      return [
        tf.mul(centred, tf.mul(inverse, gamma)),
        tf.reshape(dGamma, gamma.shape),
        tf.reshape(dBeta, gamma.shape),
      ];
    };
    return { value: tf.add(tf.mul(standard, gamma), beta), gradFunc };
  })(x, gamma, beta);

function batchNorm(x, name, training) {
  const channels = x.shape[3];
  const gamma = variable(`${name}/gamma`, [channels], 1, 1);
  const beta = variable(`${name}/beta`, [channels], 1, 0);
  if (!statistics.has(name)) {
    statistics.set(name, { mean: tf.keep(tf.zeros([channels])), variance: tf.keep(tf.ones([channels])) });
  }
  const flat = tf.reshape(x, [-1, channels]);
  let { mean, variance } = statistics.get(name);
  if (training) {
    const rows = flat.shape[0];
    const old = statistics.get(name);
    mean = tf.reshape(tf.div(sumRows(flat), rows), [channels]);
    variance = tf.reshape(tf.div(sumRows(tf.square(tf.sub(flat, mean))), rows), [channels]);
    const blend = (a, b) => tf.keep(tf.add(tf.mul(a, MOMENTUM), tf.mul(b, 1 - MOMENTUM)));
    statistics.set(name, { mean: blend(old.mean, mean), variance: blend(old.variance, variance) });
    tf.dispose([old.mean, old.variance]);
  }
  return tf.reshape(normalize(flat, gamma, beta, mean, tf.rsqrt(tf.add(variance, EPSILON))), x.shape);
}

function network(images, training) {
  const bn = (x, name) => batchNorm(x, name, training);
  let x = tf.relu6(bn(stem(images, variable('stem', [3, 3, 3, STEM], 27)), 'stem/bn'));
  BLOCKS.forEach(([channels, stride], i) => {
    const name = `block_${i + 1}`;
    const inputs = x.shape[3];
    const inner = inputs * EXPANSION;
    let y = tf.relu6(
      bn(pointwise(x, variable(`${name}/expand`, [inputs, inner], inputs)), `${name}/expand/bn`),
    );
    y = tf.relu6(
      bn(depthwise(y, variable(`${name}/depthwise`, [3, 3, inner, 1], 9), stride), `${name}/depthwise/bn`),
    );
    y = bn(pointwise(y, variable(`${name}/project`, [inner, channels], inner)), `${name}/project/bn`);
    x = inputs === channels && stride === 1 ? tf.add(x, y) : y;
  });
  x = tf.relu6(bn(pointwise(x, variable('head', [x.shape[3], HEAD], x.shape[3])), 'head/bn'));
  const features = tf.mean(x, [1, 2]);
  const weights = variable('classifier/weights', [HEAD, CLASSES.length], HEAD);
  return tf.add(tf.matMul(features, weights), variable('classifier/bias', [CLASSES.length], 1, 0));
}

function crossEntropy(logits, labels) {
  const shifted = tf.sub(logits, tf.max(logits, 1, true));
  const logProbabilities = tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), 1, true)));
  const smoothed = tf.add(tf.mul(tf.oneHot(labels, CLASSES.length), 0.9), 0.1 / CLASSES.length);
  return tf.neg(tf.mean(tf.sum(tf.mul(smoothed, logProbabilities), 1)));
}

function batchOf({ pixels, labels }, indexes) {
  const length = SIZE * SIZE * 3;
  const values = new Float32Array(indexes.length * length);
  indexes.forEach((index, i) => {
    values.set(pixels.subarray(index * length, (index + 1) * length), i * length);
  });
  return {
    images: tf.tensor4d(values, [indexes.length, SIZE, SIZE, 3]),
    labels: tf.tensor1d(
      indexes.map((index) => labels[index]),
      'int32',
    ),
  };
}

function accuracy(data) {
  let right = 0;
  for (let first = 0; first < data.labels.length; first += 100) {
    const indexes = Array.from({ length: 100 }, (_, i) => first + i);
    right += tf.tidy(() => {
      const { images, labels } = batchOf(data, indexes);
      const guesses = tf.argMax(network(images, false), 1);
      return tf.sum(tf.cast(tf.equal(guesses, labels), 'int32')).dataSync()[0];
    });
  }
  return right / data.labels.length;
}

function shuffled(count) {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

function train() {
  const held = makeShapes(VALIDATE, SEED + 1);
  const optimizer = tf.train.adam(PEAK_LEARNING_RATE);
  tf.tidy(() => network(tf.zeros([1, SIZE, SIZE, 3]), false)); // makes the variables
  const steps = Math.floor(TRAIN / BATCH);
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const data = makeShapes(TRAIN, SEED + 2 + epoch); // new ones in every epoch
    const order = shuffled(TRAIN);
    let sum = 0;
    const start = Date.now();
    for (let step = 0; step < steps; step++) {
      const progress = (epoch * steps + step) / (EPOCHS * steps);
      optimizer.learningRate =
        PEAK_LEARNING_RATE * Math.min(1, progress * 20 + 0.05) * 0.5 * (1 + Math.cos(Math.PI * progress));
      sum += tf.tidy(() => {
        const { images, labels } = batchOf(data, order.slice(step * BATCH, (step + 1) * BATCH));
        return optimizer.minimize(() => crossEntropy(network(images, true), labels), true).dataSync()[0];
      });
    }
    const seconds = ((Date.now() - start) / 1000).toFixed(0);
    console.log(
      `epoch ${epoch + 1}: loss ${(sum / steps).toFixed(3)}, held-out accuracy ${accuracy(held).toFixed(3)} (${seconds} s)`,
    );
  }
}

/** Builds model.json as TensorFlow's converter would: batch normalizations, activations and biases as nodes. */
class GraphWriter {
  nodes = [];
  weights = [];
  bytes = [];

  constant(name, shape, values, dtype = 'float32') {
    const type = dtype === 'int32' ? 'DT_INT32' : 'DT_FLOAT';
    // Viewers of models read dtype and shape of a constant here; its values lie in the shards.
    const value = { tensor: { dtype: type, tensorShape: tensorShape(...shape) } };
    this.nodes.push({ name, op: 'Const', attr: { dtype: { type }, value } });
    this.weights.push({ name, shape, dtype });
    this.bytes.push(Buffer.from(values.buffer, values.byteOffset, values.byteLength));
    return name;
  }

  variable(name, shape) {
    const tensor = variables.get(name);
    return this.constant(name, shape ?? tensor.shape, tensor.dataSync());
  }

  node(op, name, input, attr = {}) {
    this.nodes.push({ name, op, input, attr: { T: { type: 'DT_FLOAT' }, ...attr } });
    return name;
  }

  convolution(op, name, x, filterShape, stride) {
    const list = (...values) => ({ list: { i: values.map(String) } });
    const attr = {
      strides: list(1, stride, stride, 1),
      padding: text('SAME'),
      data_format: text('NHWC'),
      dilations: list(1, 1, 1, 1),
    };
    return this.node(op, `${name}/${op}`, [x, this.variable(name, filterShape)], attr);
  }

  batchNorm(name, x) {
    const { mean, variance } = statistics.get(name);
    const inputs = [
      this.variable(`${name}/gamma`),
      this.variable(`${name}/beta`),
      this.constant(`${name}/moving_mean`, mean.shape, mean.dataSync()),
      this.constant(`${name}/moving_variance`, variance.shape, variance.dataSync()),
    ];
    const attr = {
      U: { type: 'DT_FLOAT' },
      epsilon: { f: EPSILON },
      is_training: { b: false },
      data_format: text('NHWC'),
    };
    return this.node('FusedBatchNormV3', `${name}/FusedBatchNormV3`, [x, ...inputs], attr);
  }

  relu6(name, x) {
    return this.node('Relu6', `${name}/Relu6`, [x]);
  }
}

function text(value) {
  return { s: Buffer.from(value).toString('base64') };
}

function tensorShape(...dims) {
  return { dim: dims.map((size) => ({ size: String(size) })) };
}

function exportModel(folder) {
  const graph = new GraphWriter();
  const inputShape = tensorShape(-1, SIZE, SIZE, 3);
  graph.nodes.push({
    name: 'image',
    op: 'Placeholder',
    attr: { dtype: { type: 'DT_FLOAT' }, shape: { shape: inputShape } },
  });
  const unit = (op, name, x, shape, stride = 1) =>
    graph.batchNorm(`${name}/bn`, graph.convolution(op, name, x, shape, stride));
  let x = graph.relu6('stem', unit('Conv2D', 'stem', 'image', undefined, 2));
  let channels = STEM;
  BLOCKS.forEach(([outputs, stride], i) => {
    const name = `block_${i + 1}`;
    const inner = channels * EXPANSION;
    let y = graph.relu6(`${name}/expand`, unit('Conv2D', `${name}/expand`, x, [1, 1, channels, inner]));
    y = graph.relu6(
      `${name}/depthwise`,
      unit('DepthwiseConv2dNative', `${name}/depthwise`, y, undefined, stride),
    );
    y = unit('Conv2D', `${name}/project`, y, [1, 1, inner, outputs]);
    x = channels === outputs && stride === 1 ? graph.node('AddV2', `${name}/add`, [x, y]) : y;
    channels = outputs;
  });
  x = graph.relu6('head', unit('Conv2D', 'head', x, [1, 1, channels, HEAD]));
  const axes = graph.constant('pool/axes', [2], Int32Array.of(1, 2), 'int32');
  x = graph.node('Mean', 'pool', [x, axes], { Tidx: { type: 'DT_INT32' }, keep_dims: { b: false } });
  x = graph.node('MatMul', 'classifier/MatMul', [x, graph.variable('classifier/weights')], {
    transpose_a: { b: false },
    transpose_b: { b: false },
  });
  x = graph.node('BiasAdd', 'classifier/BiasAdd', [x, graph.variable('classifier/bias')], {
    data_format: text('NHWC'),
  });
  graph.node('Softmax', 'probabilities', [x]);

  const entry = (name, shape) => ({ name: `${name}:0`, dtype: 'DT_FLOAT', tensorShape: shape });
  const model = {
    format: 'graph-model',
    generatedBy: 'examples/demo/train.js',
    convertedBy: null,
    signature: {
      inputs: { image: entry('image', inputShape) },
      outputs: { probabilities: entry('probabilities', tensorShape(-1, CLASSES.length)) },
    },
    modelTopology: { node: graph.nodes, library: {}, versions: { producer: 808, minConsumer: 12 } },
    weightsManifest: [{ paths: ['group1-shard1of1.bin'], weights: graph.weights }],
  };
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'group1-shard1of1.bin'), Buffer.concat(graph.bytes));
  fs.writeFileSync(path.join(folder, 'model.json'), `${JSON.stringify(model)}\n`);
}

async function main() {
  await tf.setBackend('wasm');
  train();
  const folder = path.join(__dirname, 'model');
  exportModel(folder);
  const bytes = fs.statSync(path.join(folder, 'group1-shard1of1.bin')).size;
  console.log(`wrote ${folder}: ${(bytes / 1e6).toFixed(2)} MB of weights`);
}

main();
