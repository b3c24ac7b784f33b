// @needs engine
/** Routing traces of converted models. */
import { execFile } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { convert, recordTrace } from '../../src/convert';
import { readTrace } from '../../src/moe';
import { gatesOf, MoELayer } from '../../src/moe/moe-layer';
import { writeLayersModel } from '../support/layers';
import { temporaryFolder } from '../support/tiny-model';

const MAIN = join(__dirname, '../../dist/src/cli/main.js');
const WIDTH = 16;
const EXPERTS = 8;
const BATCH = 3;

let gate: Float32Array;
let model: string;
let data: string;

const valuesOf = (sample: number) =>
  Float32Array.from({ length: BATCH * WIDTH }, (_, i) => Math.sin(i + sample));

async function* samples() {
  for (let i = 0; i < 4; i++) {
    yield { x: { dtype: 'float32' as const, shape: [BATCH, WIDTH], values: valuesOf(i) } };
  }
}

async function convertModel(shared = false): Promise<string> {
  const x = tfl.input({ shape: [WIDTH], name: 'x' });
  const make = () => new MoELayer({ experts: EXPERTS, topK: 2, hidden: 12 });
  const layer = make();
  const first = layer.apply(x) as tfl.SymbolicTensor;
  const second = make().apply(first) as tfl.SymbolicTensor;
  const outputs = shared ? (layer.apply(second) as tfl.SymbolicTensor) : second;
  const float = tfl.model({ inputs: x, outputs });
  [{ kernel: gate }] = gatesOf(float);
  const output = join(temporaryFolder(), 'converted');
  await convert({ input: await writeLayersModel(float, temporaryFolder()), output, calibration: 'random' });
  return join(output, 'model.json');
}

beforeAll(async () => {
  await tf.setBackend('cpu');
  model = await convertModel();
  data = join(temporaryFolder(), 'samples.mjs');
  writeFileSync(
    data,
    `export default async function* () {
      for (let sample = 0; sample < 4; sample++) {
        const values = Float32Array.from({ length: ${BATCH * WIDTH} }, (_, i) => Math.sin(i + sample));
        yield { x: { dtype: 'float32', shape: [${BATCH}, ${WIDTH}], values } };
      }
    }`,
  );
});

test('holds what each gate says to each token, in order', async () => {
  const output = join(temporaryFolder(), 'trace');
  const report = await recordTrace({ model, samples, output, source: 'sines' });
  expect(report).toMatchObject({ samples: 4, tokens: 12, layers: 2, experts: EXPERTS, topK: 2 });
  const trace = await readTrace(output);
  expect(trace).toMatchObject({ tokens: 12, layers: 2, experts: EXPERTS, topK: 2, source: 'sines' });
  for (let token = 0; token < 12; token++) {
    const x = valuesOf(Math.floor(token / BATCH)).subarray((token % BATCH) * WIDTH);
    for (let e = 0; e < EXPERTS; e++) {
      let expected = 0;
      for (let i = 0; i < WIDTH; i++) expected += x[i] * gate[i * EXPERTS + e];
      expect(trace.logits[token * 2 * EXPERTS + e]).toBeCloseTo(expected, 4);
    }
  }
});

test('the command records, and simulate reads it', async () => {
  const out = join(temporaryFolder(), 'trace');
  const run = async (...words: string[]) =>
    (await promisify(execFile)(process.execPath, [MAIN, 'moe', ...words])).stdout;
  const told = await run('record', '--model', model, '--data', data, '--out', out, '--limit', '3');
  expect(told).toContain('9 tokens of 3 samples through 2 layers of 8 experts, top-2');
  expect(await run('simulate', '--trace', out, '--cache', '50%')).toContain('9 tokens through 2 layers');
  await expect(run('record', '--model', model, '--out', out)).rejects.toThrow('Give data to run');
});

test('refuses models without experts, or whose layers see different numbers of tokens; nothing is written', async () => {
  const folder = temporaryFolder();
  const run = (path: string, source: () => AsyncIterable<never> | ReturnType<typeof samples> = samples) =>
    recordTrace({ model: path, samples: source, output: join(folder, 'trace') });
  const x = tfl.input({ shape: [WIDTH], name: 'x' });
  const outputs = tfl.layers.dense({ units: 4 }).apply(x) as tfl.SymbolicTensor;
  const dense = await writeLayersModel(tfl.model({ inputs: x, outputs }), temporaryFolder());
  await expect(run(dense)).rejects.toThrow('a converted model with a mixture of experts');
  await expect(run(await convertModel(true))).rejects.toThrow('different numbers of tokens (24, 12)');
  await expect(run(model, async function* () {})).rejects.toThrow('one or more');
  expect(readdirSync(folder)).toEqual([]);
});
