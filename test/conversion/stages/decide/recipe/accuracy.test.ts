// @needs engine
import { calibrate } from '../../../../../src/calibration/runner';
import { FLOAT_FOR_ACCURACY } from '../../../../../src/conversion/float-reasons';
import { settle } from '../../../../../src/conversion/options/settle';
import type { AccuracyTarget } from '../../../../../src/conversion/settings';
import type { Int8Model, ObservedInt8 } from '../../../../../src/conversion/stage-results';
import { reachAccuracy } from '../../../../../src/conversion/stages/decide/recipe/accuracy';
import { Validation } from '../../../../../src/evaluation/validation';
import type { Graph } from '../../../../../src/graph/ir';
import { type LabelledSource, withoutLabels } from '../../../../../src/graph/samples';
import type { ActivationPrecision } from '../../../../../src/passes/quantize/match/quantizable';
import { floatInOutNodes } from '../../../../../src/passes/quantize/plan/float-in-out-nodes';
import { observedTensors } from '../../../../../src/passes/quantize/plan/observed-tensors';
import { planQuantization } from '../../../../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../../../../src/passes/quantize/quantize-graph';
import { drawFeeds, execute, FloatGraph, fusedAttrs, windowAttrs } from '../../../../support/float-graph';
import { toSample } from '../../../../support/quantize';
import { randomOf } from '../../../../support/random';

const random = randomOf('accuracy control', 0);
const LAYERS = ['a', 'b', 'c', 'd', 'e', 'f'];
const CLASSES = 4;

/** Rectified 1x1 convolutions one after the other, then a mean over space; the last class wins. */
function chain(): Graph {
  const graph = new FloatGraph(random).input('image', [1, 4, 4, CLASSES]);
  let input = 'image';
  for (const name of LAYERS) {
    graph
      .weights(`${name}/w`, [1, 1, CLASSES, CLASSES], -0.2, 0.8)
      .weights(`${name}/b`, [CLASSES], -0.3, 0.3)
      .node(name, '_FusedConv2D', [input, `${name}/w`, `${name}/b`], {
        ...windowAttrs(),
        ...fusedAttrs(['BiasAdd', 'Relu']),
      });
    input = name;
  }
  graph.constant('f/b', [CLASSES], [0, 0, 0, 4]);
  return graph.constant('axes', [2], [1, 2], 'int32').node('scores', 'Mean', [input, 'axes']).build('scores');
}

const graph = chain();
const plan = planQuantization(graph);
const feeds = Array.from({ length: 6 }, () => drawFeeds(graph, random));
const source: LabelledSource = async function* () {
  for (const feed of feeds) yield { sample: toSample(feed) };
};

/** Observations in which the results of these layers are cut off, so that their readers see little of them. */
async function observe(...cut: string[]) {
  const observed = await calibrate(
    graph,
    observedTensors(plan),
    async function* () {
      for (const feed of feeds) yield toSample(feed);
    },
    { method: 'minmax' },
  );
  const ranges = new Map(observed.ranges);
  for (const name of cut) ranges.set(`${name}:0`, { min: 0, max: ranges.get(`${name}:0`)!.max / 4 });
  return { ...observed, ranges };
}

function modelOf(source: Graph): Int8Model {
  const none = {
    layers: new Map(),
    tables: new Map(),
    kept: new Map(),
    rotations: new Map(),
    rotatedResults: new Map(),
  };
  const plan = planQuantization(source);
  return { activations: 'int8', source, graph: source, plan, changes: [], folded: new Set(), ...none };
}

/** What the search finds for a model that was observed so. */
async function reach(
  target: AccuracyTarget,
  observations: Awaited<ReturnType<typeof observe>>,
  { validation = source, model = graph }: { validation?: LabelledSource; model?: Graph } = {},
) {
  const settings = settle({ ...target, validation }, withoutLabels(validation));
  const observed: ObservedInt8 = {
    activations: 'int8',
    model: modelOf(model),
    observations,
    provenance: { ...observations.provenance },
    checkSamples: { samples: [], heldBack: false },
  };
  const { accuracy, ...decision } = await reachAccuracy(observed, settings, async () => observed);
  return { accuracy: accuracy!, plan: decision.plan };
}

test('leaves everything in INT8 where the target is met as it is', async () => {
  const { accuracy, plan: found } = await reach({ minSignalToNoise: 25 }, await observe());
  expect(accuracy).toMatchObject({ samples: feeds.length, kept: [], trials: 1 });
  expect(accuracy.converted).toBe(accuracy.quantized);
  expect(accuracy.quantized.signalToNoise).toBeGreaterThan(25);
  expect(found.float).toEqual(plan.float);
});

/** How the model fares with nothing but these layers on real values. */
async function measureWith(
  observations: Awaited<ReturnType<typeof observe>>,
  layers: ReadonlyMap<string, ActivationPrecision>,
): Promise<number> {
  const validation = await Validation.of(graph, source, feeds.length);
  const precisions = floatInOutNodes(graph, plan, layers);
  const { graph: converted } = quantizeGraph(graph, planQuantization(graph, { precisions }), observations);
  return (await validation.measure(converted)).signalToNoise;
}

const dynamic = (...layers: string[]) => new Map(layers.map((name) => [name, 'dynamic' as const]));

test('gives dynamic activations to the layers that read what is cut off, and to no other', async () => {
  const observations = await observe('b', 'd');
  const target = { minSignalToNoise: 25 };
  const { accuracy, plan: found } = await reach(target, observations);
  expect(accuracy.quantized.signalToNoise).toBeLessThan(20);
  expect(accuracy.kept.map(({ name, precision }) => [name, precision]).sort()).toEqual([
    ['c', 'dynamic'],
    ['e', 'dynamic'],
  ]);
  expect([...found.precisions].sort()).toEqual([
    ['c', 'dynamic'],
    ['e', 'dynamic'],
  ]);
  expect(found.float).toEqual(plan.float);
  const signalToNoise = await measureWith(observations, dynamic('c', 'e'));
  expect(signalToNoise).toBeGreaterThanOrEqual(target.minSignalToNoise);
  expect(accuracy.converted.signalToNoise).toBeCloseTo(signalToNoise, 3);
  for (const { name } of accuracy.kept) {
    expect(await measureWith(observations, dynamic(name))).toBeLessThan(target.minSignalToNoise);
  }
});

test('gives int16 activations to the fewest layers where dynamic ones miss the target', async () => {
  const observations = await observe('b', 'd');
  const target = { minSignalToNoise: 65 };
  const everything = await measureWith(observations, dynamic(...LAYERS, 'scores'));
  expect(everything).toBeLessThan(target.minSignalToNoise);
  const { accuracy, plan: found } = await reach(target, observations);
  const kept = new Map(accuracy.kept.map(({ name, precision }) => [name, precision as ActivationPrecision]));
  expect([...kept.values()]).toContain('int16');
  expect([...kept.keys()]).toEqual(expect.arrayContaining(['c', 'e']));
  expect(new Map(found.precisions)).toEqual(kept);
  expect(found.float).toEqual(plan.float);
  const signalToNoise = await measureWith(observations, kept);
  expect(signalToNoise).toBeGreaterThanOrEqual(target.minSignalToNoise);
  expect(accuracy.converted.signalToNoise).toBeCloseTo(signalToNoise, 3);
  for (const [name] of kept) {
    const others = new Map([...kept].filter(([other]) => other !== name));
    expect(await measureWith(observations, others)).toBeLessThan(target.minSignalToNoise);
  }
});

test('leaves layers in float that have no form on real values', async () => {
  const doubling = new FloatGraph(random)
    .input('image', [1, 4, 4, 3])
    .weights('wa', [1, 1, 3, 3], 0, 0.8)
    .weights('wd', [1, 1, 3, 2], 0, 0.8)
    .weights('wz', [1, 1, 6, 3], -0.8, 0.8)
    .node('a', 'Conv2D', ['image', 'wa'], windowAttrs())
    .node('doubled', 'DepthwiseConv2dNative', ['a', 'wd'], windowAttrs())
    .node('z', 'Conv2D', ['doubled', 'wz'], windowAttrs())
    .build('z');
  const whole = planQuantization(doubling);
  const data = Array.from({ length: 4 }, () => toSample(drawFeeds(doubling, random)));
  const calibration = await calibrate(doubling, observedTensors(whole), async function* () {
    yield* data;
  });
  const ranges = new Map(calibration.ranges).set('a:0', { min: 0, max: 0.1 });
  const labelled: LabelledSource = async function* () {
    for (const sample of data) yield { sample };
  };
  const { accuracy, plan: found } = await reach(
    { minSignalToNoise: 25 },
    { ...calibration, ranges },
    { validation: labelled, model: doubling },
  );
  expect(accuracy.kept.map(({ name, precision }) => [name, precision])).toEqual([['doubled', 'float']]);
  expect(found.float.get('doubled')).toBe(FLOAT_FOR_ACCURACY);
});

test('meets a target for top-1', async () => {
  const labelled: LabelledSource = async function* () {
    for (const feed of feeds) {
      const [{ values }] = await execute(graph, feed);
      yield { sample: toSample(feed), label: values.indexOf(Math.max(...values)) };
    }
  };
  // Scores rounded to zero: the first class wins.
  const observations = await observe();
  const ranges = new Map(observations.ranges).set('f:0', { min: 0, max: 1e5 });
  const { accuracy } = await reach({ maxDrop: 0 }, { ...observations, ranges }, { validation: labelled });
  expect(accuracy.quantized.top1Drop).toBeGreaterThan(0);
  expect(accuracy.converted.top1Drop).toBe(0);
  expect(accuracy.kept.map((k) => k.name)).toEqual(['scores']);
});

test('reports that no choice meets the target', async () => {
  const impossible = reach({ minSignalToNoise: 300 }, await observe());
  await expect(impossible).rejects.toMatchObject({
    code: 'accuracy',
    message: expect.stringMatching(/at least 300 dB, .* all of them in INT8: \d/),
  });
});

test('needs labels for a target for top-1', async () => {
  const unlabelled = reach({ maxDrop: 1 }, await observe());
  await expect(unlabelled).rejects.toMatchObject({ code: 'invalid-argument' });
});
