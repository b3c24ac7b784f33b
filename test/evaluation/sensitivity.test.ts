// @needs engine
import { calibrate } from '../../src/calibration/runner';
import { measureSensitivity } from '../../src/evaluation/sensitivity';
import { attr } from '../../src/graph/attrs';
import { topologicalOrder } from '../../src/graph/edit';
import type { Graph, GraphNode } from '../../src/graph/ir';
import type { LabelledSample, LabelledSource } from '../../src/graph/samples';
import { layersOf } from '../../src/passes/quantize/plan/layers';
import { observedTensors } from '../../src/passes/quantize/plan/observed-tensors';
import { planQuantization } from '../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../src/passes/quantize/quantize-graph';
import { signalToNoise } from '../../src/quantization/metrics';
import { drawFeeds, execute, FloatGraph, fusedAttrs, windowAttrs } from '../support/float-graph';
import { toSample } from '../support/quantize';
import { randomOf } from '../support/random';

const SAMPLES = 4;
const random = randomOf('sensitivity', 0);

/** A residual block with a hard-swish, a mean and a linear layer. */
function block(): Graph {
  return new FloatGraph(random)
    .input('image', [1, 6, 6, 4])
    .weights('a/w', [1, 1, 4, 4])
    .constant('zeros', [4], [0, 0, 0, 0])
    .node('a', '_FusedConv2D', ['image', 'a/w', 'zeros'], {
      ...windowAttrs(),
      ...fusedAttrs(['BiasAdd', 'Relu']),
    })
    .weights('b/w', [1, 1, 4, 4])
    .node('b', 'Conv2D', ['a', 'b/w'], windowAttrs())
    .constant('three', [], [3])
    .node('shifted', 'AddV2', ['b', 'three'])
    .node('gate', 'Relu6', ['shifted'])
    .node('swish', 'Mul', ['b', 'gate'])
    .node('sum', 'AddV2', ['a', 'swish'])
    .constant('axes', [2], [1, 2], 'int32')
    .node('mean', 'Mean', ['sum', 'axes'])
    .weights('linear/w', [4, 3])
    .node('linear', 'MatMul', ['mean', 'linear/w'])
    .build('linear', 'a');
}

const graph = block();
const plan = planQuantization(graph);
const feeds = Array.from({ length: SAMPLES }, () => drawFeeds(graph, random));
const source: LabelledSource = async function* () {
  for (const feed of feeds) yield { sample: toSample(feed) };
};

async function observe() {
  return calibrate(
    graph,
    observedTensors(plan),
    async function* () {
      for (const feed of feeds) yield toSample(feed);
    },
    { method: 'minmax' },
  );
}

/** Signal-to-noise of each output with the given nodes alone quantized, computed by converting the graph so. */
async function alone(nodes: ReadonlySet<string>): Promise<number[]> {
  const others = [...graph.nodes.keys()].filter((name) => !nodes.has(name));
  const float = new Map(others.map((name) => [name, 'float']));
  const lone = quantizeGraph(
    graph,
    planQuantization(graph, { float, weightless: true }),
    await observe(),
  ).graph;
  const expected: number[][] = graph.outputs.map(() => []);
  const received: number[][] = graph.outputs.map(() => []);
  for (const feed of feeds) {
    for (const [i, { values }] of (await execute(graph, feed)).entries()) expected[i].push(...values);
    for (const [i, { values }] of (await execute(lone, feed)).entries()) received[i].push(...values);
  }
  return expected.map((values, i) => signalToNoise(values, received[i]));
}

test('takes functions that are fused into an op with it', () => {
  expect(layersOf(graph, plan).map(({ name, nodes }) => [name, ...[...nodes].sort()])).toEqual([
    ['a', 'a'],
    ['b', 'b', 'gate', 'shifted', 'swish'],
    ['sum', 'sum'],
    ['mean', 'mean'],
    ['linear', 'linear'],
  ]);
});

test('measures each layer as a conversion of it alone does, and the worst comes first', async () => {
  const { samples, layers } = await measureSensitivity(graph, plan, await observe(), source);
  expect(samples).toBe(SAMPLES);
  for (const layer of layersOf(graph, plan)) {
    const measured = layers.find((l) => l.name === layer.name)!;
    const expected = await alone(layer.nodes);
    for (const [i, { signalToNoise: decibels }] of measured.outputs.entries()) {
      if (expected[i] > 100) expect(decibels).toBe(Number.POSITIVE_INFINITY);
      else expect(decibels).toBeCloseTo(expected[i], 1);
    }
    expect(measured.signalToNoise).toBe(Math.min(...measured.outputs.map((o) => o.signalToNoise)));
  }
  const decibels = layers.map((l) => l.signalToNoise);
  expect(decibels).toEqual(decibels.toSorted((a, b) => a - b));
  expect(layers.every((l) => l.top1Drop === undefined)).toBe(true);
});

test("measures layers' own results alone as beside the outputs", async () => {
  const ownOf = async (own: boolean) => {
    const { layers } = await measureSensitivity(graph, plan, await observe(), source, { own });
    return new Map(layers.map(({ name, ownSignalToNoise }) => [name, ownSignalToNoise]));
  };
  expect(await ownOf(true)).toEqual(await ownOf(false));
});

test('counts the labels that a layer loses', async () => {
  const classes = await Promise.all(
    feeds.map(async (feed) => {
      const [{ values }] = await execute(graph, feed);
      return values.indexOf(Math.max(...values));
    }),
  );
  const labelled = async function* (): AsyncGenerator<LabelledSample> {
    for (const [i, feed] of feeds.entries()) yield { sample: toSample(feed), label: classes[i] };
  };
  const observations = await observe();
  const ranges = new Map(observations.ranges).set('mean:0', { min: -1e6, max: 1e6 });
  const { layers } = await measureSensitivity(graph, plan, { ...observations, ranges }, labelled);
  const drop = (name: string) => layers.find((l) => l.name === name)!.top1Drop;
  // A mean that is rounded to zero gives every class the score 0: the first class wins.
  expect(drop('linear')).toBeCloseTo((100 * classes.filter((c) => c !== 0).length) / SAMPLES);
  expect(drop('sum')).toBe(0);
});

test('reads no more samples than it is asked to', async () => {
  let read = 0;
  const counting: LabelledSource = async function* () {
    for (;;) {
      read++;
      yield { sample: toSample(feeds[0]) };
    }
  };
  const progress: number[] = [];
  const { samples } = await measureSensitivity(graph, plan, await observe(), counting, {
    samples: 2,
    onProgress: (done) => progress.push(done),
  });
  expect([samples, read]).toEqual([2, 2]);
  expect(progress).toEqual([1, 2]);
});

test('says so when there is no sample, and stops when it is cancelled', async () => {
  const observations = await observe();
  const nothing = measureSensitivity(graph, plan, observations, async function* () {});
  await expect(nothing).rejects.toMatchObject({ code: 'invalid-argument' });
  const cancelled = measureSensitivity(graph, plan, observations, source, { signal: AbortSignal.abort() });
  await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
});

/** Calibrated and measured on the same samples. */
async function sensitivityOf(of: Graph) {
  const samples = Array.from({ length: SAMPLES }, () => toSample(drawFeeds(of, random)));
  const whole = planQuantization(of);
  const data = async function* () {
    yield* samples;
  };
  const observations = await calibrate(of, observedTensors(whole), data, { method: 'minmax' });
  const labelled: LabelledSource = async function* () {
    for (const sample of samples) yield { sample };
  };
  return measureSensitivity(of, whole, observations, labelled);
}

test('a layer that reads a constant in float32, as a mask, is measured sample after sample', async () => {
  const masked = new FloatGraph(random)
    .input('x', [2, 4, 6])
    .weights('w', [1, 6, 4])
    .constant('mask', [4], [0, 0, -1e9, 0])
    .node('scores', 'BatchMatMulV2', ['x', 'w'])
    .node('sum', 'AddV2', ['scores', 'mask'])
    .node('softmax', 'Softmax', ['sum'])
    .weights('v', [1, 4, 3])
    .node('y', 'BatchMatMulV2', ['softmax', 'v'])
    .build('y');
  const { layers } = await sensitivityOf(masked);
  for (const { signalToNoise } of layers) expect(signalToNoise).toBeGreaterThan(25);
});

test('a pad with the lowest value, which only a maximum reads, is measured', async () => {
  const padded = new FloatGraph(random)
    .input('x', [2, 6, 6, 4])
    .constant('pads', [4, 2], [0, 0, 1, 1, 1, 1, 0, 0], 'int32')
    .constant('lowest', [], [-65504])
    .node('pad', 'PadV2', ['x', 'pads', 'lowest'])
    .node('max', 'MaxPool', ['pad'], windowAttrs({ ksize: 3, padding: 'VALID' }))
    .weights('w', [1, 1, 4, 2])
    .node('y', 'Conv2D', ['max', 'w'], windowAttrs())
    .build('y');
  const { layers } = await sensitivityOf(padded);
  expect(layers.map(({ name }) => name)).toContain('pad');
  for (const { signalToNoise } of layers) expect(signalToNoise).toBeGreaterThan(30);
});

test('layers beside truth values: one that reads them as numbers, and an output of them', async () => {
  const T = { T: attr.dtype('float32') };
  const truths = new FloatGraph(random)
    .input('x', [2, 3, 8])
    .constant('zero', [], [0])
    .node('positive', 'Greater', ['x', 'zero'], T)
    .node('real', 'Cast', ['positive'], { SrcT: attr.dtype('bool'), DstT: attr.dtype('float32') })
    .weights('w', [8, 4])
    .node('y', 'BatchMatMulV2', ['real', 'w'], T)
    .weights('v', [4, 3])
    .node('z', 'BatchMatMulV2', ['y', 'v'], T)
    .build('z');
  const outputs = [
    ...truths.outputs,
    { name: 'positive', ref: { node: 'positive', index: 0 }, dtype: 'bool' as const },
  ];
  const { layers } = await sensitivityOf({ ...truths, outputs });
  expect(layers.map(({ name }) => name).sort()).toEqual(['y', 'z']);
  for (const { outputs } of layers) expect(outputs[0].signalToNoise).toBeGreaterThan(30);
});

test('layers whose weights and constants must come after another node are measured as any other', async () => {
  const plain = block();
  const after = [...plain.nodes.values()].map((node): [string, GraphNode] => [
    node.name,
    node.op === 'Const' ? { ...node, controlInputs: ['image'] } : node,
  ]);
  const { layers } = await sensitivityOf({ ...plain, nodes: topologicalOrder(new Map(after)) });
  expect(layers.map(({ name }) => name).sort()).toEqual(
    layersOf(plain, planQuantization(plain))
      .map(({ name }) => name)
      .sort(),
  );
  for (const { signalToNoise } of layers) expect(signalToNoise).toBeGreaterThan(20);
});

test('a layer that reads one part of a split beside others that are read elsewhere', async () => {
  const gated = new FloatGraph(random)
    .input('x', [2, 5, 7, 3])
    .constant('axis', [], [3], 'int32')
    .node('parts', 'Split', ['axis', 'x'], { num_split: attr.int(3) })
    .constant('axes', [2], [1, 2], 'int32')
    .node('mean', 'Mean', ['parts:2', 'axes'], { keep_dims: attr.bool(true) })
    .weights('w', [1, 1, 1, 1])
    .node('conv', 'Conv2D', ['mean', 'w'], windowAttrs())
    .node('gate', 'Sigmoid', ['conv'])
    .node('y', 'Mul', ['parts:2', 'gate'])
    .node('z', 'Sub', ['parts:1', 'gate'])
    .build('y', 'z', 'parts');
  const { layers } = await sensitivityOf(gated);
  expect(layers.map(({ name }) => name)).toContain('conv');
  for (const { outputs } of layers) {
    expect(outputs[0].signalToNoise).toBeGreaterThan(20);
    expect(outputs[2].signalToNoise).toBe(Number.POSITIVE_INFINITY);
  }
});
