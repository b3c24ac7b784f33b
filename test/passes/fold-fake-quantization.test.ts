import { calibrate } from '../../src/calibration/runner';
import { attr } from '../../src/graph/attrs';
import type { Graph } from '../../src/graph/ir';
import { foldFakeQuantization } from '../../src/passes/fold-fake-quantization';
import { optimize } from '../../src/passes/pipeline';
import { quantizeGraph } from '../../src/passes/quantize/quantize-graph';
import { gridBounds, storedSteps } from '../../src/quantization/weight-grid';
import { FloatGraph, ops, windowAttrs } from '../support/float-graph';
import { quantize, toSample } from '../support/quantize';
import { randomOf } from '../support/random';

const random = () => randomOf(expect.getState().currentTestName ?? '', 0);

const bits = (count: number, narrow = false) => ({
  num_bits: attr.int(count),
  narrow_range: { b: narrow },
});

/** A constant behind a fake quantizer, added to the input so that something reads it. */
function constantBehind(values: number[], op: string, min: number[], max: number[], attrs = {}): Graph {
  const shape = min.length === 1 ? [] : [min.length];
  return new FloatGraph(random())
    .input('x', [values.length])
    .constant('values', [values.length], values)
    .constant('min', shape, min)
    .constant('max', shape, max)
    .node('fake', op, ['values', 'min', 'max'], attrs)
    .node('sum', 'AddV2', ['x', 'fake'])
    .build('sum');
}

function rounded(graph: Graph): number[] {
  return Array.from(foldFakeQuantization.apply(graph).graph.constants.get('fake')!.values);
}

describe('rounds constants', () => {
  test('to steps between the bounds, zero being one of them', () => {
    // 3 bits: 7 steps of 1 from -2.6 to 4.4, moved to -3..4.
    const values = [-9, -2.6, -0.4, 0, 0.6, 1.4, 4.4, 9];
    const graph = constantBehind(values, 'FakeQuantWithMinMaxVars', [-2.6], [4.4], bits(3));
    expect(rounded(graph)).toEqual([-3, -3, -0, 0, 1, 1, 4, 4].map((v) => expect.closeTo(v, 6)));
  });

  test('in a narrow range, a channel at a time', () => {
    // 3 bits, narrow: 6 steps; of 1 for the first channel, of 0.5 for the second.
    const values = [-3.2, -1.6, 0.4, 0.6];
    const graph = constantBehind(
      values,
      'FakeQuantWithMinMaxVarsPerChannel',
      [-3, -1.5, -3, -1.5],
      [3, 1.5, 3, 1.5],
      bits(3, true),
    );
    expect(rounded(graph)).toEqual([-3, -1.5, 0, 0.5].map((v) => expect.closeTo(v, 6)));
  });

  test('to steps from zero for QuantizeAndDequantize', () => {
    // 3 bits, signed: codes -4..3; the upper bound needs the larger step, 2 / 3.
    const attrs = { ...bits(3), signed_input: { b: true }, range_given: { b: true } };
    const graph = constantBehind([-9, -1, 0.5, 1.9], 'QuantizeAndDequantizeV2', [-1], [2], attrs);
    expect(rounded(graph)).toEqual([(-4 * 2) / 3, (-2 * 2) / 3, 2 / 3, 2].map((v) => expect.closeTo(v, 6)));
  });
});

/** image -> fake quantizer -> convolution with fake-quantized weights -> batch norm -> ReLU -> fake quantizer. */
function trainedGraph(): Graph {
  const channels = 4;
  const graph = new FloatGraph(random())
    .input('image', [-1, 6, 6, 3])
    .constant('image/min', [], [-2])
    .constant('image/max', [], [3.25])
    .node('image/fake', 'FakeQuantWithMinMaxVars', ['image', 'image/min', 'image/max'], bits(8))
    .weights('filter', [3, 3, 3, channels])
    .constant('filter/min', [channels], [-0.9, -1.1, -0.7, -2])
    .constant('filter/max', [channels], [0.9, 1.1, 0.7, 2])
    .node(
      'filter/fake',
      'FakeQuantWithMinMaxVarsPerChannel',
      ['filter', 'filter/min', 'filter/max'],
      bits(8, true),
    )
    .node('conv', 'Conv2D', ['image/fake', 'filter/fake'], windowAttrs());
  for (const [name, min] of [
    ['gamma', 0.5],
    ['beta', -1],
    ['mean', -1],
    ['variance', 0.1],
  ] as const) {
    graph.weights(`norm/${name}`, [channels], min, 2);
  }
  return graph
    .node('norm', 'FusedBatchNormV3', ['conv', 'norm/gamma', 'norm/beta', 'norm/mean', 'norm/variance'])
    .node('relu', 'Relu', ['norm'])
    .constant('relu/min', [], [0])
    .constant('relu/max', [], [7.5])
    .node('relu/fake', 'FakeQuantWithMinMaxVars', ['relu', 'relu/min', 'relu/max'], bits(8))
    .weights('head', [1, 1, channels, 2])
    .node('scores', 'Conv2D', ['relu/fake', 'head'], windowAttrs())
    .build('scores');
}

test('activations get the ranges of training, whatever the data say', async () => {
  const { graph } = optimize(trainedGraph());
  expect(ops(graph)).toEqual(['_FusedConv2D', 'Conv2D']);
  expect(graph.ranges).toEqual(
    new Map([
      ['image:0', { min: -2, max: 3.25 }],
      ['relu:0', { min: 0, max: 7.5 }],
    ]),
  );
  const refs = ['image', 'relu', 'scores'].map((node) => ({ ref: { node, index: 0 } }));
  const values = new Float32Array(108).fill(0.5);
  const { ranges } = await calibrate(graph, refs, async function* () {
    yield toSample({ image: { shape: [1, 6, 6, 3], values } });
  });
  expect(ranges.get('image:0')).toEqual({ min: -2, max: 3.25 });
  expect(ranges.get('relu:0')).toEqual({ min: 0, max: 7.5 });
  expect(ranges.get('scores:0')!.max).toBeLessThan(100);
});

test('weights keep the steps of training, also with a batch norm folded into them', async () => {
  const { graph } = optimize(trainedGraph());
  const { plan, observations } = await quantize(graph, random());
  const { weightFidelity } = quantizeGraph(graph, plan, observations);
  expect(weightFidelity.get('relu')).toBeGreaterThan(100);
  expect(weightFidelity.get('scores')).toBeLessThan(60);
});

test('an output keeps its name', () => {
  const graph = new FloatGraph(random())
    .input('x', [-1, 4])
    .node('relu', 'Relu', ['x'])
    .node('y', 'FakeQuantWithMinMaxArgs', ['relu'], { min: attr.float(-1), max: attr.float(5) })
    .build('y');
  const result = foldFakeQuantization.apply(graph).graph;
  expect(ops(result)).toEqual(['Relu', 'Identity']);
  expect(result.ranges?.get('relu:0')).toEqual({ min: -1, max: 5 });
});

test.each([
  ['FakeQuantWithMinMaxVars', ['Neg', 'Relu'], 'rewrote'],
  ['FakeQuantWithMinMaxVarsPerChannel', ['Neg', 'FakeQuantWithMinMaxVarsPerChannel', 'Relu'], 'declined'],
])('%s with a computed range', (op, left, action) => {
  const graph = new FloatGraph(random())
    .input('x', [-1, 4])
    .input('max', [])
    .node('min', 'Neg', ['max'])
    .node('fake', op, ['x', 'min', 'max'])
    .node('y', 'Relu', ['fake'])
    .build('y', 'min');
  const { graph: result, changes } = foldFakeQuantization.apply(graph);
  expect(ops(result)).toEqual(left);
  expect(changes).toEqual([expect.objectContaining({ node: 'fake', action })]);
});

describe('the grid of weights', () => {
  const one = () => 0;

  test('is found when the largest weight is not the last step', () => {
    const weights = Float32Array.from([0.03, -0.11, 0, 0.07, 0.5, 1.01]);
    expect(gridBounds(weights, one, Float64Array.of(Math.fround(1.01)))).toEqual([expect.closeTo(1.27, 5)]);
  });

  test('is checked beyond the first weights', () => {
    // The first lie on a grid of 100 and of 50 steps up to the largest, the last on that of 100 alone.
    const weights = Float32Array.from({ length: 40 }, (_, i) => ((2 * i) % 100) / 100);
    weights[38] = 1;
    weights[39] = 0.33;
    expect(gridBounds(weights, one, Float64Array.of(1))).toEqual([expect.closeTo(1.27, 5)]);
    weights[37] = 0.3333;
    expect(gridBounds(weights, one, Float64Array.of(1))).toEqual([undefined]);
  });

  test('is none for weights of any value, for too few, and for a dead channel', () => {
    expect(gridBounds(Float32Array.of(1, 0.5, 0), one, Float64Array.of(1))).toEqual([undefined]);
    const draw = random();
    const weights = Float32Array.from({ length: 50 }, () => draw.real(-1, 1));
    const max = weights.reduce((m, w) => Math.max(m, Math.abs(w)), 0);
    expect(gridBounds(weights, one, Float64Array.of(max))).toEqual([undefined]);
    expect(gridBounds(new Float32Array(3), one, Float64Array.of(0))).toEqual([undefined]);
  });

  test('of a filter that was stored in 8 bits is the widest, also for channels of few values', () => {
    const step = 0.02;
    // Two channels of codes around zero and on one side of it, one of a single value, one of zeros.
    const codes = [
      [-3, 7, 100, 55, -90, 20, 11],
      [255, 3, 8, 0, 64, 201, 77],
      [0, 0, -9, 0, 9, 0, 0],
      [0, 0, 0, 0, 0, 0, 0],
    ];
    const values = Float32Array.from(codes.flat(), (code) => code * step);
    const channel = (i: number) => Math.floor(i / 7);
    const maxima = Float64Array.from(codes, (own) =>
      Math.max(...own.map((code) => Math.abs(Math.fround(code * step)))),
    );
    const steps = storedSteps(values, channel, maxima)!;
    expect(steps.map((each) => Number(each.toFixed(6)))).toEqual([0.02, 0.02, 0.18, 0]);
    values[8] += 0.005;
    expect(storedSteps(values, channel, maxima)).toBeUndefined();
    expect(storedSteps(values.subarray(14), (i) => channel(i + 14) - 2, maxima.subarray(2))).toBeUndefined();
  });
});
