// @needs engine
import '@tensorflow/tfjs-backend-cpu';
import { join } from 'node:path';
import { convert, inspectConverted, inspectRegion } from '../../src/convert';
import { temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

async function converted(options: object = {}): Promise<string> {
  const output = join(temporaryFolder(), 'int8');
  await convert({ input: writeTinyModel(), output, calibration: () => tinySamples(4), ...options });
  return join(output, 'model.json');
}

test('lists the ops of a region with what they read, their shapes, scales and weights', async () => {
  const model = await converted();
  const { regionNames, layers } = await inspectConverted(model);
  const { inputs, ops, outputs } = await inspectRegion(model, regionNames[0]);
  expect(inputs).toMatchObject([{ name: 'image:0', precision: 'float32' }]);
  expect(ops[0]).toMatchObject({ op: 'Quantize', inputs: ['image:0'], output: { precision: 'int8' } });
  const conv = ops.find(({ op }) => op === 'Conv2D')!;
  expect(conv.inputs).toEqual([0]);
  expect(conv.bitsOfWeights).toBe(8);
  // The scale is what the record of the layer says.
  const layer = layers.find(({ name, output }) => name === conv.name || output === conv.name)!;
  expect(layer.result).toMatchObject({ scale: conv.output.scale, zeroPoint: conv.output.zeroPoint });
  for (const [i, op] of ops.entries()) {
    for (const source of op.inputs) expect(typeof source === 'string' || source < i).toBe(true);
  }
  for (const index of outputs) expect(ops[index as number].output.precision).toBe('float32');
});

async function opsOf(options: object) {
  const model = await converted(options);
  const { regionNames } = await inspectConverted(model);
  const reports = await Promise.all(regionNames.map((name) => inspectRegion(model, name)));
  return reports.flatMap(({ ops }) => ops);
}

test('says dynamic activations and low bits', async () => {
  const dynamic = await opsOf({ dynamic: ['**'] });
  expect(dynamic.map(({ output }) => output.precision)).toContain('dynamic int8');
  const lowBit = await opsOf({ config: { layers: [{ match: '**', weights: 'int4' }] } });
  expect(lowBit.map(({ bitsOfWeights }) => bitsOfWeights)).toContain(4);
});

test('names the regions there are', async () => {
  await expect(inspectRegion(await converted(), 'nowhere')).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringContaining('its regions are lowbit/region_0'),
  });
  await expect(inspectRegion(await converted({ regions: false }), 'nowhere')).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringContaining('every op is a node of its graph'),
  });
  await expect(inspectRegion(writeTinyModel(), 'nowhere')).rejects.toMatchObject({ code: 'invalid-model' });
});
