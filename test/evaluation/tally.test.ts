import { Tally } from '../../src/evaluation/tally';
import type { Output } from '../../src/graph/samples';

const scores = (...rows: number[][]): Output => ({
  name: 'scores',
  shape: [rows.length, rows[0].length],
  values: Float32Array.from(rows.flat()),
});
const box = (...values: number[]): Output => ({
  name: 'box',
  shape: [values.length],
  values: Float32Array.from(values),
});

test('counts top-1 against the label, and agreement row by row', () => {
  const tally = new Tally();
  tally.add([scores([0, 1, 0])], [scores([0, 1, 0])], 1);
  tally.add([scores([1, 0, 0])], [scores([0, 0, 1])], 0);
  tally.add([scores([0, 0, 1], [1, 0, 0])], [scores([0, 0, 1], [1, 0, 0])], undefined);
  const { samples, top1, agreement } = tally.report();
  expect({ samples, top1, agreement }).toEqual({
    samples: 3,
    top1: { labelled: 2, float: 100, lowbit: 50 },
    agreement: 75,
  });
});

test('takes the classes from the first output that has some', () => {
  const tally = new Tally();
  tally.add([box(5, 1), scores([0, 1])], [box(1, 5), scores([0, 1])], undefined);
  expect(tally.report().agreement).toBe(100);
});

test('signal-to-noise of an output is over all samples, not the mean of each', () => {
  const tally = new Tally();
  tally.add([box(10)], [box(10)], undefined);
  tally.add([box(0)], [box(1)], undefined);
  const { outputs, top1, agreement } = tally.report();
  expect(outputs).toEqual([{ name: 'box', signalToNoise: 20 }]);
  expect({ top1, agreement }).toEqual({});
});
