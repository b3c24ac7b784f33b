// @needs addon
/** Memory of loading a converted model, measured in a process of its own, and files that go away meanwhile. */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { fileSystem } from '../../src/index.node';
import { writeLargeRegion } from '../support/large-region';
import { describeIf } from '../support/needs';

/** Growth of the resident set of a process that loads a model and predicts once, at its highest. */
function growthOf(location: string): number {
  const script = join(__dirname, '../support/load-memory.js');
  const output = execFileSync(process.execPath, [script, location], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return JSON.parse(output.trim().split('\n').at(-1)!).growth;
}

describeIf(
  existsSync('/proc/self/status'),
  'the /proc file system',
  'loading takes at most 1.3 times the bytes of the model',
  () => {
    test.each([
      ['dense', 26],
      ['convolutions', 46],
    ] as const)(
      'of %s layers of over 100 MB, at any time',
      (kind, layers) => {
        const { location, bytes } = writeLargeRegion(kind, layers);
        expect(bytes).toBeGreaterThan(100e6);
        expect(growthOf(location)).toBeLessThan(1.3 * bytes);
      },
      120_000,
    );
  },
);

test('a model whose files were removed after it was loaded still predicts', async () => {
  await tf.setBackend('cpu');
  const { location } = writeLargeRegion('dense', 1);
  const x = tf.ones([1, 2048]);
  const predict = async () => {
    const model = await loadGraphModel(fileSystem(location));
    return { model, y: () => (model.predict(x) as tf.Tensor).dataSync() };
  };
  const whole = await predict();
  const expected = whole.y();
  expect(expected.some((value) => value !== 0)).toBe(true);
  const removed = await predict();
  rmSync(dirname(location), { recursive: true });
  expect(removed.y()).toEqual(expected);
  whole.model.dispose();
  removed.model.dispose();
});
