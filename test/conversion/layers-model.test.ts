// @needs engine
/** A layers model on disk, through everything that takes a float model. */
import { join } from 'node:path';
import { type LayersModel, layers, sequential } from '@tensorflow/tfjs-layers';
import { bench, compare, convert, inspect } from '../../src/convert';
import { drawWeights, writeLayersModel } from '../support/layers';
import { Random, TEST_SEED } from '../support/random';
import { temporaryFolder } from '../support/tiny-model';

const SHAPE = [8, 8, 3] as const;

function classifier(): LayersModel {
  const model = sequential({
    layers: [
      layers.conv2d({ inputShape: [...SHAPE], filters: 6, kernelSize: 3, useBias: false, name: 'conv' }),
      layers.batchNormalization({ name: 'norm' }),
      layers.activation({ activation: 'relu6', name: 'relu' }),
      layers.globalAveragePooling2d({ name: 'pool' }),
      layers.dense({ units: 4, name: 'classes' }),
    ],
  });
  drawWeights(model, new Random(TEST_SEED));
  return model;
}

async function* samples() {
  for (let i = 0; i < 8; i++) {
    const values = Float32Array.from({ length: 192 }, (_, j) => Math.sin(0.37 * j + i));
    yield { conv_input: { dtype: 'float32' as const, shape: [1, ...SHAPE], values } };
  }
}

let float: string;
let lowbit: string;

beforeAll(async () => {
  float = await writeLayersModel(classifier(), temporaryFolder());
  const output = join(temporaryFolder(), 'int8');
  const report = await convert({ input: float, output, calibration: samples });
  expect(report.quantized.map(({ op }) => op)).toEqual(['_FusedConv2D', 'Mean', '_FusedMatMul']);
  lowbit = join(output, 'model.json');
});

test('inspect tells its ops by TensorFlow names, its inputs and outputs by those of the layers', async () => {
  const report = await inspect(float);
  expect(report.ops.map(({ op }) => op)).toContain('FusedBatchNormV3');
  expect(report.inputs).toEqual([{ name: 'conv_input', dtype: 'float32', shape: [-1, ...SHAPE] }]);
  expect(report.outputs).toEqual([{ name: 'classes', dtype: 'float32', shape: [-1, 4] }]);
  expect(report.quantizable.macsPercent).toBe(100);
});

test('compare and bench run it as the float side', async () => {
  const report = await compare({ float, lowbit, samples, latencyRuns: 2, memory: false });
  expect(report.outputs).toEqual([{ name: 'classes', signalToNoise: expect.any(Number) }]);
  expect(report.outputs[0].signalToNoise).toBeGreaterThan(25);
  const { results } = await bench({ model: lowbit, float, runs: 2 });
  expect(results[0].speedup).toBeGreaterThan(0);
});
