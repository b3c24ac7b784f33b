// @needs engine
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { NetworkBuilder } from '../../benchmarks/networks/builder';
import { pictures } from '../../benchmarks/networks/pictures';
import { Random } from '../../benchmarks/networks/random';
import { convert } from '../../src/convert';
import type { Graph } from '../../src/graph/ir';
import { writeGraphModel } from '../../src/graph/write-graph-model';
import { temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

const SIZE = 32;

/** A network that is large enough for its layers to be split over threads. */
async function writeNetwork(): Promise<string> {
  const folder = join(temporaryFolder(), 'network');
  let graph: Graph | undefined;
  tf.tidy(() => {
    const build = new NetworkBuilder(new Random(1), pictures(1, 2, SIZE));
    const stem = build.convolution('stem', build.input(), { channels: 32, kernel: 3, activation: 'relu6' });
    const depthwise = build.depthwise('depthwise', stem, { activation: 'relu6' });
    const pointwise = { channels: 64, kernel: 1, activation: 'relu6' as const };
    graph = build.classifier(build.convolution('pointwise', depthwise, pointwise), 10);
  });
  await writeGraphModel(graph!, folder);
  return join(folder, 'model.json');
}

let models: string[];

beforeAll(async () => {
  await tf.setBackend('wasm');
  const large = join(temporaryFolder(), 'large');
  const small = join(temporaryFolder(), 'small');
  const samples = async function* () {
    yield { input: pictures(2, 2, SIZE) };
  };
  await convert({ input: await writeNetwork(), output: large, calibration: samples });
  await convert({ input: writeTinyModel(), output: small, calibration: () => tinySamples(4) });
  models = [large, small].map((folder) => join(folder, 'model.json'));
});

test.each([1, 2])(
  'two worker threads predict with two models in parallel, each the right answer; %d threads',
  (threads) => {
    // The workers load the built package: worker threads do not share jest's transforms.
    const script = join(__dirname, '..', 'support', 'predict-in-workers.js');
    const env = { ...process.env, LOWBIT_NUM_THREADS: String(threads) };
    const output = execFileSync(process.execPath, [script, ...models], { encoding: 'utf8', env });
    expect(JSON.parse(output)).toEqual({ workers: 2, predictions: 800, wrong: 0 });
  },
);
