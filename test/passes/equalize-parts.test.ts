// @needs engine
import { measureChannelMaxima } from '../../src/calibration/channel-maxima';
import { attr } from '../../src/graph/attrs';
import type { Graph } from '../../src/graph/ir';
import { channelConcats, equalizeParts } from '../../src/passes/equalize-parts';
import { planQuantization } from '../../src/passes/quantize/plan/plan';
import { drawFeeds, expectSameFunction, FloatGraph, fusedAttrs, windowAttrs } from '../support/float-graph';
import { fidelity, quantize, toSample } from '../support/quantize';
import { type Random, randomOf } from '../support/random';

const CHANNELS = 4;

/** A 1x1 convolution whose results are `strength` times those of another one. */
function layer(
  graph: FloatGraph,
  random: Random,
  name: string,
  from: string,
  strength: number,
  activation = 'Relu',
) {
  const values = Array.from({ length: CHANNELS ** 2 }, () => random.real(-0.3, 0.5) * strength);
  return graph
    .constant(`${name}/w`, [1, 1, CHANNELS, CHANNELS], values)
    .constant(`${name}/b`, [CHANNELS], new Array(CHANNELS).fill(0.1 * strength))
    .node(name, '_FusedConv2D', [from, `${name}/w`, `${name}/b`], {
      ...windowAttrs(),
      ...fusedAttrs(['BiasAdd', ...(activation ? [activation] : [])]),
    });
}

/** Joins parts of given strengths, and weighs each by its inverse, so that all count alike. */
function joined(
  graph: FloatGraph,
  random: Random,
  parts: readonly string[],
  strengths: readonly number[],
): FloatGraph {
  const channels = parts.length * CHANNELS;
  const weights = Array.from(
    { length: channels * CHANNELS },
    (_, i) => random.real(-0.5, 0.5) / strengths[Math.floor(i / CHANNELS / CHANNELS)],
  );
  return graph
    .constant('axis', [], [-1], 'int32')
    .node('joined', 'ConcatV2', [...parts, 'axis'], { N: attr.int(parts.length) })
    .constant('end/w', [1, 1, channels, CHANNELS], weights)
    .node('end', 'Conv2D', ['joined', 'end/w'], windowAttrs());
}

async function equalized(graph: Graph, random: Random) {
  const { regions, shapes } = planQuantization(graph);
  const nodes = regions.flatMap((r) => r.nodes);
  const source = async function* () {
    for (let i = 0; i < 4; i++) yield toSample(drawFeeds(graph, random));
  };
  const maxima = await measureChannelMaxima(graph, channelConcats(graph, shapes, nodes), source, {
    samples: 4,
  });
  return equalizeParts(graph, shapes, nodes, maxima);
}

const image = (random: Random) => new FloatGraph(random).input('image', [1, 6, 6, CHANNELS]);

const NETWORKS: [string, (random: Random) => Graph][] = [
  [
    'a strong and a weak part',
    (random) => {
      const graph = layer(layer(image(random), random, 'a', 'image', 1), random, 'b', 'image', 1e-3);
      return joined(graph, random, ['a', 'b'], [1, 1e-3]).build('end');
    },
  ],
  [
    'three parts, two of them through other ops',
    (random) => {
      const graph = layer(
        layer(layer(image(random), random, 'a', 'image', 50), random, 'b', 'image', 1),
        random,
        'c',
        'b',
        0.02,
      );
      graph.node('pool', 'MaxPool', ['a'], windowAttrs({ ksize: 2 })).node('sum', 'AddV2', ['b', 'b']);
      return joined(graph, random, ['pool', 'sum', 'c'], [50, 2, 0.02]).build('end');
    },
  ],
  [
    'a weak part that is the input: the strong one is scaled down',
    (random) =>
      joined(layer(image(random), random, 'a', 'image', 400), random, ['a', 'image'], [400, 1]).build('end'),
  ],
  [
    'a weak part that is a table of another function',
    (random) => {
      const graph = layer(layer(image(random), random, 'a', 'image', 300), random, 'b', 'image', 1, '');
      return joined(graph.node('gate', 'Sigmoid', ['b']), random, ['a', 'gate'], [300, 1]).build('end');
    },
  ],
];

test.each(NETWORKS)('%s: the same function, at the accuracy of parts that are alike', async (name, build) => {
  const random = randomOf(name, 0);
  const graph = build(random);
  const { graph: after, changes } = await equalized(graph, random);
  expect(changes.map((c) => c.node)).toContain('end');
  await expectSameFunction(graph, after, random);
  const before = await quantize(graph, random);
  const quantized = await quantize(after, random);
  const [worse] = await fidelity(graph, before.graph, random);
  const [decibels] = await fidelity(graph, quantized.graph, random);
  expect(worse).toBeLessThan(20);
  expect(decibels).toBeGreaterThan(28);
});

test('parts that differ by less than a factor of two, or that the layer hardly reads, stay as they are', async () => {
  const random = randomOf('alike', 0);
  const two = () => layer(layer(image(random), random, 'a', 'image', 1), random, 'b', 'image', 0.7);
  expect((await equalized(joined(two(), random, ['a', 'b'], [1, 1]).build('end'), random)).changes).toEqual(
    [],
  );
  const weak = layer(layer(image(random), random, 'a', 'image', 1), random, 'b', 'image', 0.01);
  expect((await equalized(joined(weak, random, ['a', 'b'], [1, 100]).build('end'), random)).changes).toEqual(
    [],
  );
});

test('a part that Relu6 clamps keeps its scale', async () => {
  const random = randomOf('relu6', 0);
  const graph = layer(layer(image(random), random, 'a', 'image', 100), random, 'b', 'image', 1, 'Relu6');
  const built = joined(graph, random, ['a', 'b'], [100, 1]).build('end');
  const { graph: after, changes } = await equalized(built, random);
  expect(changes.map((c) => c.node)).toEqual(['a', 'end']);
  await expectSameFunction(built, after, random);
});

test('computes the same in random networks of concatenations', async () => {
  const random = randomOf('random networks', 0);
  let scaled = 0;
  for (let network = 0; network < 30; network++) {
    const graph = image(random);
    const known = ['image'];
    for (let i = 0; i < 6; i++) {
      const [a, b] = [random.pick(known), random.pick(known)];
      const name = `n${i}`;
      if (random.int(0, 2) === 0) graph.node(name, 'AddV2', [a, b]);
      else layer(graph, random, name, a, 10 ** random.int(-3, 3), random.pick(['', 'Relu', 'Relu6']));
      known.push(name);
    }
    const [a, b] = [known.at(-1)!, random.pick(known.slice(0, -1))];
    const built = joined(graph, random, [a, b], [1, 1]).build('end', known.at(-2)!);
    const { graph: after, changes } = await equalized(built, random);
    await expectSameFunction(built, after, random);
    scaled += changes.length;
  }
  expect(scaled).toBeGreaterThan(10);
});
