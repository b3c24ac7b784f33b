import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { calibrate } from '../../src/calibration/runner';
import { attr } from '../../src/graph/attrs';
import type { DenseTensor, Sample } from '../../src/graph/ir';
import type { SampleSource } from '../../src/graph/samples';
import { FloatGraph } from '../support/float-graph';
import { randomOf } from '../support/random';

const graph = new FloatGraph(randomOf('runner', 0))
  .input('x', [-1, 2])
  .constant('two', [], [2])
  .node('double', 'Mul', ['x', 'two'])
  .node('log', 'Log', ['double'])
  .build('log');

const tensors = [{ ref: { node: 'double', index: 0 }, means: true }];

function sample(values: number[], shape = [values.length / 2, 2]): Sample {
  return { x: { dtype: 'float32', shape, values: Float32Array.from(values) } };
}

function source(...samples: Sample[]): SampleSource {
  return async function* () {
    yield* samples;
  };
}

test('observes ranges and means, and tells what it saw', async () => {
  const progress: [number, number][] = [];
  const calibration = await calibrate(graph, tensors, source(sample([1, 2]), sample([3, 4, 5, 6])), {
    method: 'minmax',
    samples: 10,
    onProgress: (done, total) => progress.push([done, total]),
  });
  expect(calibration.ranges.get('double:0')).toEqual({ min: 2, max: 12 });
  expect([...calibration.means.get('double:0')!]).toEqual([6, 8]);
  expect(calibration.provenance).toMatchObject({ method: 'minmax', samples: 3 });
  expect(calibration.provenance.sha256).toMatch(/^[0-9a-f]{64}$/);
  expect(progress).toEqual([
    [1, 10],
    [3, 10],
  ]);
});

test('stops at the number of samples asked for, and its hash is of those it saw', async () => {
  const run = (samples: Sample[]) => calibrate(graph, tensors, source(...samples), { samples: 2 });
  const [first, second, third] = [sample([1, 2]), sample([3, 4]), sample([5, 6])];
  const two = await run([first, second, third]);
  expect(two.provenance.samples).toBe(2);
  expect((await run([first, second])).provenance).toEqual(two.provenance);
  expect((await run([second, first])).provenance.sha256).not.toBe(two.provenance.sha256);
});

test('gives the backend back and keeps no tensors', async () => {
  await tf.setBackend('cpu');
  const { numTensors } = tf.memory();
  await calibrate(graph, tensors, source(sample([1, 2])));
  expect(tf.getBackend()).toBe('cpu');
  await expect(calibrate(graph, tensors, source(sample([1, 2], [2])))).rejects.toThrow();
  expect(tf.getBackend()).toBe('cpu');
  expect(tf.memory().numTensors).toBe(numTensors);
});

test('names the node whose values are not finite', async () => {
  const refs = [{ ref: { node: 'log', index: 0 } }];
  const running = calibrate(graph, refs, source(sample([1, 2]), sample([3, -4])));
  await expect(running).rejects.toThrow(/Log 'log' computes NaN \(element 1\)/);
});

test.each<[string, Sample, RegExp]>([
  ['a missing input', {}, /sample 0, input 'x': it is missing/],
  ['a wrong shape', sample([1, 2, 3], [1, 3]), /expected shape \[-1,2\] but found \[1,3\]/],
  ['too few values', sample([1, 2], [2, 2]), /2 values do not fill shape \[2,2\]/],
  ['values that are not finite', sample([1, Number.NaN]), /value 1 is NaN; expected finite/],
  [
    'the wrong dtype',
    { x: { dtype: 'int32', shape: [1, 2], values: Int32Array.of(1, 2) } },
    /expected float32/,
  ],
])('refuses %s', async (_, wrong, message) => {
  await expect(calibrate(graph, tensors, source(wrong))).rejects.toThrow(message);
});

test('refuses an empty source, and stops when aborted', async () => {
  await expect(calibrate(graph, tensors, source())).rejects.toThrow(/empty/);
  const controller = new AbortController();
  controller.abort();
  const running = calibrate(graph, tensors, source(sample([1, 2])), { signal: controller.signal });
  await expect(running).rejects.toMatchObject({ code: 'cancelled' });
});

test('infinities set no range: they count as the bounds of the other values', async () => {
  const masked = new FloatGraph(randomOf('masked', 0))
    .input('x', [-1, 3])
    .constant('mask', [3], [0, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY])
    .node('sum', 'AddV2', ['x', 'mask'])
    .build('sum');
  const samples = source(
    { x: { dtype: 'float32', shape: [2, 3], values: Float32Array.of(1, 2, 3, -4, 5, 6) } },
    { x: { dtype: 'float32', shape: [1, 3], values: Float32Array.of(2, 2, 2) } },
  );
  for (const method of ['minmax', 'mse', 'entropy', 'percentile', 'moving-average'] as const) {
    const { ranges } = await calibrate(masked, [{ ref: { node: 'sum', index: 0 } }], samples, { method });
    const { min, max } = ranges.get('sum:0')!;
    expect(Number.isFinite(min) && min >= -4).toBe(true);
    expect(Number.isFinite(max) && max <= 2).toBe(true);
  }
  const { ranges } = await calibrate(masked, [{ ref: { node: 'sum', index: 0 } }], samples, {
    method: 'minmax',
  });
  expect(ranges.get('sum:0')).toEqual({ min: -4, max: 2 });
});

test('inputs of strings are passed through, and are part of the hash', async () => {
  const reading = new FloatGraph(randomOf('strings', 0))
    .node('text', 'Placeholder', [], { dtype: attr.dtype('string') })
    .node('hash', 'StringToHashBucketFast', ['text'], { num_buckets: attr.int(10) })
    .node('real', 'Cast', ['hash'], { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') })
    .build('real');
  const text = { name: 'text', ref: { node: 'text', index: 0 }, dtype: 'string' as const, shape: [-1] };
  const graph = { ...reading, inputs: [text] };
  const run = (...values: string[]) => {
    const text = { dtype: 'string', shape: [values.length], values } as unknown as DenseTensor;
    return calibrate(graph, [{ ref: { node: 'real', index: 0 } }], source({ text }), { method: 'minmax' });
  };
  const [first, second] = [await run('a', 'b', 'c'), await run('a', 'b', 'd')];
  await tf.setBackend('cpu');
  const hashes = await tf.string.stringToHashBucketFast(['a', 'b', 'c'], 10).data();
  expect(first.ranges.get('real:0')).toEqual({ min: Math.min(...hashes), max: Math.max(...hashes) });
  expect(first.provenance.sha256).not.toBe(second.provenance.sha256);
});

test('what another method makes of the same values is what a run with that method gives', async () => {
  const random = randomOf('other method', 0);
  const drawn = () => sample(Array.from({ length: 2000 }, () => random.real(-1, 1) ** 9 * 5));
  const data = source(drawn(), drawn(), drawn());
  const percentile = { method: 'percentile' as const, percentile: 99 };
  const mse = await calibrate(graph, tensors, data, { method: 'mse' });
  const { by: _, ...expected } = await calibrate(graph, tensors, data, percentile);
  const { by: back, ...received } = mse.by(percentile)!;
  expect(received).toEqual(expected);
  expect(received.ranges).not.toEqual(mse.ranges);
  expect(back({ method: 'mse' })!.ranges).toEqual(mse.ranges);
  expect(mse.by({ method: 'entropy' })).toBeUndefined();
  const { methods } = mse.by({
    ...percentile,
    methodOf: (node) => (node === 'double' ? 'mse' : undefined),
  })!.provenance;
  expect(methods).toEqual({ double: 'mse' });
});
