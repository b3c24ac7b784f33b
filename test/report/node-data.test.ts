// @needs engine
import '@tensorflow/tfjs-backend-cpu';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compare, convert, makeReport, type Report, writeNodeData } from '../../src/convert';
import type { Sample } from '../../src/graph/ir';
import { nodeDataOf } from '../../src/report/node-data';
import { temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

let float: string;
let report: Report;
const samples = (): AsyncIterable<Sample> => tinySamples(6);

beforeAll(async () => {
  float = writeTinyModel();
  const output = join(temporaryFolder(), 'int8');
  await convert({ input: float, output, calibration: samples, skip: ['depthwise'] });
  const models = { float, lowbit: join(output, 'model.json'), samples };
  const comparison = await compare({ ...models, latencyRuns: 2, memory: false });
  report = await makeReport({ ...models, comparison, timedRuns: 0, sensitivitySamples: 0 });
});

function valuesOf(name: string): Record<string, number | string> {
  const { results } = nodeDataOf(report).get(name)!;
  return Object.fromEntries(Object.entries(results).map(([node, { value }]) => [node, value]));
}

test('has the figures of every layer under names that the float model has', () => {
  const { node } = JSON.parse(readFileSync(float, 'utf8')).modelTopology;
  const names = new Set(node.map(({ name }: { name: string }) => name));
  for (const { results } of nodeDataOf(report).values()) {
    expect(Object.keys(results).filter((name) => !names.has(name))).toEqual([]);
  }
  const layer = report.layers.find(({ name }) => name === 'conv')!;
  expect(valuesOf('signal-to-noise').conv).toBe(layer.signalToNoise);
  expect(valuesOf('products').conv).toBe(layer.macs);
  expect(valuesOf('bytes').conv).toBe(layer.bytes.after);
  expect(valuesOf('bits-of-weights')).toMatchObject({ conv: 8, depthwise: 32 });
  expect(valuesOf('activation-precision')).toMatchObject({ conv: 'int8', depthwise: 'float32' });
});

test('leaves out what no JSON number can say', async () => {
  const exact = { ...report, layers: report.layers.map((layer) => ({ ...layer, signalToNoise: Infinity })) };
  const folder = await writeNodeData(exact, join(temporaryFolder(), 'new', 'node-data'));
  const read = readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')));
  expect(read.map(({ name }) => name).sort()).toEqual([
    'activation precision',
    'bits of weights',
    'bytes of weights',
    'multiply-accumulates',
    'signal-to-noise, dB',
  ]);
  expect(read.find(({ name }) => name.startsWith('signal'))!.results).toEqual({});
});
