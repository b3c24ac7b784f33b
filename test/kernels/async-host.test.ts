// @needs engine
/** A backend whose tensors can only be read asynchronously, as WebGPU's: models run by `executeAsync`. */
import { join } from 'node:path';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import * as converter from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { quantize } from '../../kernels/functions';
import { webgpuHost } from '../../kernels/hosts/webgpu';
import { addHost, install, KERNELS } from '../../kernels/register';
import { convert } from '../../src/convert';
import { fileSystem } from '../../src/index.node';
import { temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

const BACKEND = 'later';

/** Constants that TF.js itself reads while it runs a graph, as the shape of a Reshape: on WebGPU they are not uploaded. */
const shapes = new WeakSet<object>();

/** How often data was read, by id. */
const reads = new Map<object, number>();

class LaterBackend extends MathBackendCPU {
  override readSync(dataId: object): tf.BackendValues {
    if (shapes.has(dataId)) return super.readSync(dataId);
    throw new Error('the test backend reads nothing while the caller waits');
  }

  override async read(dataId: object): Promise<tf.BackendValues> {
    reads.set(dataId, (reads.get(dataId) ?? 0) + 1);
    await new Promise((resolve) => setTimeout(resolve));
    return super.readSync(dataId);
  }
}

const laterHost = { ...webgpuHost, backendName: BACKEND };

beforeAll(() => {
  tf.registerBackend(BACKEND, () => new LaterBackend(), 0);
  const ours = new Set(KERNELS.map(({ name }) => name));
  for (const kernel of tf.getKernelsForBackend('cpu')) {
    if (!ours.has(kernel.kernelName)) tf.registerKernel({ ...kernel, backendName: BACKEND });
  }
  addHost(laterHost);
  install();
  // TF.js warns that a model without control flow needs no executeAsync.
  jest.spyOn(console, 'warn').mockImplementation(() => {});
});

const SHAPE = [2, 8, 8, 3];
const image = Float32Array.from({ length: 2 * 8 * 8 * 3 }, (_, i) => Math.cos(i * 0.41));
const OUTPUTS = ['probabilities', 'logits'];

async function load(
  location: string,
  backend: string,
): Promise<{ model: converter.GraphModel; x: tf.Tensor }> {
  await tf.setBackend(backend);
  reads.clear();
  const model = await converter.loadGraphModel(fileSystem(location));
  for (const weight of Object.values(model.weights).flat()) {
    if (weight.dtype === 'int32' && weight.size <= 4) shapes.add(weight.dataId);
  }
  return { model, x: tf.tensor(image, SHAPE) };
}

async function execute(model: converter.GraphModel, x: tf.Tensor): Promise<ArrayLike<number>[]> {
  const outputs = (await model.executeAsync(x, OUTPUTS)) as tf.Tensor[];
  const values = await Promise.all(outputs.map((output) => output.data()));
  tf.dispose(outputs);
  return values;
}

const cases: [string, object][] = [
  ['one program', {}],
  ['single kernels', { regions: false }],
  ['low-bit weights', { weights: 'uniform4', regions: false }],
];

describe.each(cases)('a converted model, %s', (_, options) => {
  let location: string;
  let expected: ArrayLike<number>[];

  beforeAll(async () => {
    await tf.setBackend('cpu');
    const output = join(temporaryFolder(), 'model');
    await convert({ input: writeTinyModel(), output, calibration: () => tinySamples(4), ...options });
    location = join(output, 'model.json');
    const { model, x } = await load(location, 'cpu');
    const results = model.execute(x, OUTPUTS) as tf.Tensor[];
    expected = results.map((result) => result.dataSync());
    model.dispose();
  });

  test('computes by executeAsync the bits that it computes on cpu', async () => {
    const { model, x } = await load(location, BACKEND);
    expect(await execute(model, x)).toEqual(expected);
    model.dispose();
  });

  test('reads weights once, and leaves no tensors behind', async () => {
    const { model, x } = await load(location, BACKEND);
    await execute(model, x);
    const weights = Object.values(model.weights).flat();
    const readOfWeights = () => weights.reduce((sum, { dataId }) => sum + (reads.get(dataId) ?? 0), 0);
    const [before, tensors, ids] = [readOfWeights(), tf.memory().numTensors, tf.backend().numDataIds()];
    expect(before).toBeGreaterThan(1);
    for (let i = 0; i < 3; i++) expect(await execute(model, x)).toEqual(expected);
    expect([readOfWeights(), tf.memory().numTensors, tf.backend().numDataIds()]).toEqual([
      before,
      tensors,
      ids,
    ]);
    model.dispose();
  });

  test('computes several predictions at the same time', async () => {
    const { model, x } = await load(location, BACKEND);
    const all = await Promise.all([execute(model, x), execute(model, x), execute(model, x)]);
    expect(all).toEqual([expected, expected, expected]);
    model.dispose();
  });

  test.each(['execute', 'predict'] as const)('%s gives an error that names executeAsync', async (method) => {
    const { model, x } = await load(location, BACKEND);
    const tensors = tf.memory().numTensors;
    let error: unknown;
    try {
      model[method](x);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({
      name: 'LowbitError',
      code: 'unsupported-backend',
      message: expect.stringMatching(
        /backend 'later' can only be read asynchronously; run the model with executeAsync\(\)/,
      ),
    });
    expect(tf.memory().numTensors).toBe(tensors);
    model.dispose();
  });
});

test('a kernel called by itself gives that error too', async () => {
  await tf.setBackend(BACKEND);
  expect(() => quantize(tf.tensor1d([1]), { scale: 1, zeroPoint: 0 })).toThrow(
    /^Quantize: tensors of the backend 'later' can only be read asynchronously/,
  );
});

test('an error of a kernel reaches the caller', async () => {
  const ops = new Map<string, (node: never) => unknown>();
  install({ ...tf, registerOp: (name, execute) => ops.set(name, execute) });
  await tf.setBackend(BACKEND);
  const run = ops.get('Hadamard')!({ inputs: [tf.tensor1d([1, 2])], attrs: { block: 3, seed: 1 } } as never);
  await expect(run).rejects.toThrow(/power of two from 2 to 4096 for block/);
});
