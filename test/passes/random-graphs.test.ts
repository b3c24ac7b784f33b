// @needs engine
/** Random graphs through all rewrites and plans: they compute what the float graph does, or close to it. */
import { measureChannelMaxima } from '../../src/calibration/channel-maxima';
import { calibrate } from '../../src/calibration/runner';
import { refKey } from '../../src/graph/edit';
import type { Graph } from '../../src/graph/ir';
import { equalizeActivations } from '../../src/passes/equalize-activations';
import { channelConcats, equalizeParts } from '../../src/passes/equalize-parts';
import { optimize } from '../../src/passes/pipeline';
import { floatInOutNodes } from '../../src/passes/quantize/plan/float-in-out-nodes';
import { layersOf } from '../../src/passes/quantize/plan/layers';
import { observedTensors } from '../../src/passes/quantize/plan/observed-tensors';
import { floatAnyway, planQuantization } from '../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../src/passes/quantize/quantize-graph';
import { drawFeeds, execute, expectSameFunction } from '../support/float-graph';
import { toSample } from '../support/quantize';
import { forEachCase, type Random } from '../support/random';
import { drawGraph } from '../support/random-graph';

const CASES = Number(process.env.LOWBIT_TEST_GRAPHS ?? 60);

type Feeds = ReturnType<typeof drawFeeds>;

async function expectShapes(float: Graph, quantized: Graph, feeds: Feeds): Promise<void> {
  const [expected, received] = [await execute(float, feeds), await execute(quantized, feeds)];
  expect(received.map((r) => r.shape)).toEqual(expected.map((r) => r.shape));
  for (const { values } of received) expect(values.every(Number.isFinite)).toBe(true);
}

async function checkPlans(graph: Graph, random: Random, feeds: Feeds): Promise<void> {
  const source = async function* () {
    yield toSample(feeds);
  };
  const plan = planQuantization(graph);
  const observations = await calibrate(graph, observedTensors(plan), source, { method: 'minmax' });
  const layers = layersOf(graph, plan).map(({ name }) => name);
  await expectShapes(graph, quantizeGraph(graph, plan, observations).graph, feeds);
  await expectShapes(graph, quantizeGraph(graph, plan, observations, { regions: false }).graph, feeds);
  for (const precision of ['int16', 'dynamic'] as const) {
    for (const chosen of [layers, layers.filter(() => random.int(0, 1) === 1)]) {
      const requested = new Map(chosen.map((name) => [name, precision] as const));
      const precisions = floatInOutNodes(graph, plan, requested);
      const other = planQuantization(graph, { float: floatAnyway(plan), precisions });
      await expectShapes(graph, quantizeGraph(graph, other, observations).graph, feeds);
    }
  }
  const left = layersOf(graph, plan).filter(() => random.int(0, 1) === 1);
  const float = new Map(left.flatMap(({ nodes }) => [...nodes].map((name) => [name, 'requested'] as const)));
  const rest = planQuantization(graph, { float: new Map([...floatAnyway(plan), ...float]) });
  await expectShapes(graph, quantizeGraph(graph, rest, observations).graph, feeds);
}

async function checkEqualization(graph: Graph, random: Random, feeds: Feeds): Promise<void> {
  const source = async function* () {
    yield toSample(feeds);
  };
  const { regions, shapes } = planQuantization(graph);
  const nodes = regions.flatMap((r) => r.nodes);
  if (nodes.length === 0) return;
  const joined = channelConcats(graph, shapes, nodes);
  const parts = equalizeParts(
    graph,
    shapes,
    nodes,
    joined.length > 0 ? await measureChannelMaxima(graph, joined, source, { samples: 1 }) : new Map(),
  );
  await expectSameFunction(graph, parts.graph, random);
  const again = planQuantization(parts.graph);
  const refs = new Map(again.regions.flatMap((r) => r.observed).map((ref) => [refKey(ref), ref]));
  const maxima = await measureChannelMaxima(parts.graph, [...refs.values()], source, { samples: 1 });
  const within = again.regions.flatMap((r) => r.nodes);
  const { graph: after } = equalizeActivations(parts.graph, again.shapes, within, maxima);
  const [expected, received] = [await execute(graph, feeds), await execute(after, feeds)];
  expected.forEach(({ values }, output) => {
    const largest = values.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
    values.forEach((v, i) => {
      expect(Math.abs(v - received[output].values[i]) / largest).toBeLessThan(1e-3);
    });
  });
}

test('random graphs: the same function after rewrites, the same shapes in every plan', async () => {
  await forEachCase('random graphs', CASES, async (random) => {
    const graph = drawGraph(random);
    const feeds = drawFeeds(graph, random);
    if (graph.outputs.length === 0) return;
    const float = await execute(graph, feeds);
    // Squares of squares leave what 8 bits are for.
    if (!float.every(({ values }) => values.every((v) => Math.abs(v) < 1e4))) return;
    const { graph: optimized } = optimize(graph);
    await expectSameFunction(graph, optimized, random);
    await checkPlans(optimized, random, feeds);
    await checkEqualization(optimized, random, feeds);
  });
});
