/** A small float graph model written by hand: convolution, depthwise convolution, mean, linear layer, softmax. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const TINY_CLASSES = 4;
export const TINY_SIZE = 8;

const text = (value: string) => ({ s: Buffer.from(value).toString('base64') });
const dims = (...sizes: number[]) => ({ dim: sizes.map((size) => ({ size: String(size) })) });

interface Weight {
  name: string;
  shape: number[];
  values: Float32Array | Int32Array;
}

function wave(count: number, phase: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7 + phase) * 0.5);
}

const folders: string[] = [];

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A new folder, removed after the last test of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-lowbit-test-'));
  folders.push(folder);
  return folder;
}

/** Writes the model into a new folder and returns the path of its model.json. */
export function writeTinyModel(folder = temporaryFolder()): string {
  const weights: Weight[] = [
    { name: 'conv/w', shape: [3, 3, 3, 6], values: wave(162, 0) },
    { name: 'conv/b', shape: [6], values: wave(6, 1) },
    { name: 'depthwise/w', shape: [3, 3, 6, 1], values: wave(54, 2) },
    { name: 'depthwise/b', shape: [6], values: wave(6, 3) },
    { name: 'axes', shape: [2], values: Int32Array.of(1, 2) },
    { name: 'linear/w', shape: [6, TINY_CLASSES], values: wave(6 * TINY_CLASSES, 4) },
    { name: 'linear/b', shape: [TINY_CLASSES], values: wave(TINY_CLASSES, 5) },
  ];
  const isInt = (weight: Weight) => weight.name === 'axes';
  const window = {
    T: { type: 'DT_FLOAT' },
    strides: { list: { i: ['1', '1', '1', '1'] } },
    dilations: { list: { i: ['1', '1', '1', '1'] } },
    padding: text('SAME'),
    data_format: text('NHWC'),
    explicit_paddings: { list: {} },
    num_args: { i: '1' },
    epsilon: { f: 0 },
    fused_ops: { list: { s: [text('BiasAdd').s, text('Relu6').s] } },
  };
  const input = dims(-1, TINY_SIZE, TINY_SIZE, 3);
  const node = [
    { name: 'image', op: 'Placeholder', attr: { dtype: { type: 'DT_FLOAT' }, shape: { shape: input } } },
    ...weights.map((weight) => ({
      name: weight.name,
      op: 'Const',
      attr: { dtype: { type: isInt(weight) ? 'DT_INT32' : 'DT_FLOAT' } },
    })),
    { name: 'conv', op: '_FusedConv2D', input: ['image', 'conv/w', 'conv/b'], attr: window },
    {
      name: 'depthwise',
      op: 'FusedDepthwiseConv2dNative',
      input: ['conv', 'depthwise/w', 'depthwise/b'],
      attr: window,
    },
    {
      name: 'mean',
      op: 'Mean',
      input: ['depthwise', 'axes'],
      attr: { T: { type: 'DT_FLOAT' }, keep_dims: { b: false } },
    },
    {
      name: 'matmul',
      op: 'MatMul',
      input: ['mean', 'linear/w'],
      attr: { T: { type: 'DT_FLOAT' }, transpose_a: { b: false }, transpose_b: { b: false } },
    },
    {
      name: 'logits',
      op: 'BiasAdd',
      input: ['matmul', 'linear/b'],
      attr: { T: { type: 'DT_FLOAT' }, data_format: text('NHWC') },
    },
    { name: 'probabilities', op: 'Softmax', input: ['logits'], attr: { T: { type: 'DT_FLOAT' } } },
  ];
  const model = {
    format: 'graph-model',
    generatedBy: 'test',
    convertedBy: null,
    signature: {
      inputs: { image: { name: 'image:0', dtype: 'DT_FLOAT', tensorShape: input } },
      outputs: {
        probabilities: { name: 'probabilities:0', dtype: 'DT_FLOAT', tensorShape: dims(-1, TINY_CLASSES) },
        logits: { name: 'logits:0', dtype: 'DT_FLOAT', tensorShape: dims(-1, TINY_CLASSES) },
      },
    },
    modelTopology: { node, library: {}, versions: { producer: 808, minConsumer: 12 } },
    weightsManifest: [
      {
        paths: ['group1-shard1of1.bin'],
        weights: weights.map((weight) => ({
          name: weight.name,
          shape: weight.shape,
          dtype: isInt(weight) ? 'int32' : 'float32',
        })),
      },
    ],
  };
  mkdirSync(folder, { recursive: true });
  const bytes = weights.map(({ values }) => Buffer.from(values.buffer, values.byteOffset, values.byteLength));
  writeFileSync(join(folder, 'group1-shard1of1.bin'), Buffer.concat(bytes));
  writeFileSync(join(folder, 'model.json'), JSON.stringify(model));
  return join(folder, 'model.json');
}

/** Samples that suit the tiny model. */
export async function* tinySamples(count: number) {
  for (let i = 0; i < count; i++) {
    const values = Float32Array.from({ length: TINY_SIZE * TINY_SIZE * 3 }, (_, j) =>
      Math.cos(j * 0.37 + i * 0.9),
    );
    yield { image: { dtype: 'float32' as const, shape: [1, TINY_SIZE, TINY_SIZE, 3], values } };
  }
}
