// @needs engine
import { attr } from '../../../src/graph/attrs';
import { optimize } from '../../../src/passes/pipeline';
import { observedTensors } from '../../../src/passes/quantize/plan/observed-tensors';
import { planQuantization } from '../../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../../src/passes/quantize/quantize-graph';
import { drawFeeds, execute, FloatGraph, fusedAttrs, ops, windowAttrs } from '../../support/float-graph';
import { fidelity, quantize } from '../../support/quantize';
import { forEachCase, type Random, randomOf } from '../../support/random';
import { conv, image } from '../../support/small-network';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

describe('lowering', () => {
  test('keeps every output of the signature under its name, each through a node of its own', async () => {
    const graph = conv(conv(image(random), 'a', 'image', 'Relu6'), 'b', 'a')
      .node('sum', 'AddV2', ['a', 'b'])
      .build('sum', 'a', 'b');
    const quantized = await quantize(graph, random);
    expect(ops(quantized.graph).sort()).toEqual(['Identity', 'Identity', 'Identity', 'QuantizedRegion']);
    expect(quantized.graph.outputs).toEqual(graph.outputs);
    for (const decibels of await fidelity(graph, quantized.graph, random))
      expect(decibels).toBeGreaterThan(30);
  });

  test('makes one table of a written-out hard-swish, fused into the convolution', async () => {
    const graph = conv(image(random), 'a', 'image')
      .constant('three', [], [3])
      .constant('sixth', [], [1 / 6])
      .node('shifted', 'AddV2', ['a', 'three'])
      .node('gate', 'Relu6', ['shifted'])
      .node('product', 'Mul', ['a', 'gate'])
      .node('swish', 'Mul', ['product', 'sixth'])
      .build('swish');
    const plan = planQuantization(graph);
    expect(plan.regions[0].steps).toHaveLength(1);
    expect(observedTensors(plan).map(({ ref }) => ref.node)).toEqual(['image', 'swish', 'a']);
    const quantized = await quantize(graph, random);
    const [decibels] = await fidelity(graph, quantized.graph, random);
    expect(decibels).toBeGreaterThan(35);
  });

  test('keeps a tensor that both a table and an op read', async () => {
    const graph = conv(image(random), 'a', 'image').node('gate', 'Sigmoid', ['a']);
    const built = conv(conv(graph, 'b', 'a'), 'c', 'gate')
      .node('sum', 'AddV2', ['b', 'c'])
      .build('sum');
    expect(planQuantization(built).regions[0].steps.map((s) => s.kind)).toEqual([
      'op',
      'lookup',
      'op',
      'op',
      'op',
    ]);
    const [decibels] = await fidelity(built, (await quantize(built, random)).graph, random);
    expect(decibels).toBeGreaterThan(30);
  });

  test('serves channels that are dead, huge, or all bias', async () => {
    const weights = Float32Array.from({ length: 3 * 3 * 4 * 4 }, (_, i) => {
      const w = random.real(-0.5, 0.5);
      return [w, w * 6e-21, 0, w * 1e4][i % 4];
    });
    const graph = image(random)
      .constant('w', [3, 3, 4, 4], weights)
      .constant('b', [4], [0.25, 3.5, -0.75, 1e5])
      .node('a', '_FusedConv2D', ['image', 'w', 'b'], { ...windowAttrs(), ...fusedAttrs(['BiasAdd']) })
      .build('a');
    const { graph: quantized } = await quantize(graph, random);
    const feeds = drawFeeds(graph, random);
    const [[expected], [received]] = [await execute(graph, feeds), await execute(quantized, feeds)];
    expected.values.forEach((v, i) => {
      const tolerance = [0.15, 1e-5, 1e-6, 2e3][i % 4];
      expect(Math.abs(v - received.values[i])).toBeLessThan(tolerance);
    });
  });

  test('stores the logits of a classifier as exact accumulators', async () => {
    const graph = conv(image(random), 'a', 'image', 'Relu')
      .constant('axes', [2], [1, 2], 'int32')
      .weights('w', [4, 5])
      .weights('b', [5])
      .node('mean', 'Mean', ['a', 'axes'], { keep_dims: { b: false } })
      .node('logits', '_FusedMatMul', ['mean', 'w', 'b'], fusedAttrs(['BiasAdd']))
      .build('logits');
    const { graph: quantized } = await quantize(graph, random);
    const [{ values }] = await execute(quantized, drawFeeds(graph, random));
    expect(new Set(values).size).toBe(values.length);
    const [decibels] = await fidelity(graph, quantized, random);
    expect(decibels).toBeGreaterThan(30);
  });

  test.each([
    ['Mul', [0.5, -2, 1, 3]],
    ['AddV2', [0.5, -2, 1, 3]],
    ['RealDiv', [0.5, -2, 1, 3]],
    ['Sub', [0.5, -2, 1, 3]],
  ])('lowers %s with a constant a channel that could not be folded', async (op, constant) => {
    const graph = conv(conv(image(random), 'a', 'image'), 'b', 'image')
      .node('sum', 'AddV2', ['a', 'b'])
      .constant('c', [4], constant)
      .node('scaled', op, ['sum', 'c'])
      .build('scaled');
    const { graph: quantized, plan } = await quantize(graph, random);
    expect(plan.float.size).toBe(0);
    const [decibels] = await fidelity(graph, quantized, random);
    expect(decibels).toBeGreaterThan(25);
  });

  test('lowers a batch norm that stands alone', async () => {
    const graph = conv(conv(image(random), 'a', 'image'), 'b', 'image').node('sum', 'AddV2', ['a', 'b']);
    for (const name of ['gamma', 'beta', 'mean']) graph.weights(name, [4]);
    const built = graph
      .weights('variance', [4], 0.5, 2)
      .node('norm', 'FusedBatchNormV3', ['sum', 'gamma', 'beta', 'mean', 'variance'], {
        epsilon: attr.float(1e-3),
      })
      .node('relu', 'Relu', ['norm'])
      .build('relu');
    const { graph: quantized, plan } = await quantize(built, random);
    expect(plan.float.size).toBe(0);
    const [decibels] = await fidelity(built, quantized, random);
    expect(decibels).toBeGreaterThan(25);
  });

  test('corrects the bias for what rounding the weights does to the mean', async () => {
    const graph = new FloatGraph(random)
      .input('image', [1, 8, 8, 16])
      .weights('w', [1, 1, 16, 1], 0.3, 0.5)
      .constant('big', [1, 1, 16, 1], new Array(16).fill(0));
    const weights = Array.from({ length: 16 }, (_, i) => (i === 0 ? 40 : 0.15));
    graph.constant('w', [1, 1, 16, 1], weights).node('a', 'Conv2D', ['image', 'w'], windowAttrs());
    const built = graph.build('a');
    const plan = planQuantization(built);
    const sample = {
      image: { shape: [1, 8, 8, 16], values: Float32Array.from({ length: 1024 }, (_, i) => 1 + (i % 3)) },
    };
    const ranges = new Map([
      ['image:0', { min: 0, max: 3 }],
      ['a:0', { min: 0, max: 130 }],
    ]);
    const means = new Map([['image:0', new Float64Array(16).fill(2)]]);
    const mean = async (given: Map<string, Float64Array>) => {
      const quantized = quantizeGraph(built, plan, { ranges, means: given }).graph;
      const [{ values }] = await execute(quantized, sample);
      return values.reduce((sum, v) => sum + v, 0) / values.length;
    };
    const [{ values }] = await execute(built, sample);
    const expected = values.reduce((sum, v) => sum + v, 0) / values.length;
    expect(Math.abs((await mean(means)) - expected)).toBeLessThan(0.1);
    expect(Math.abs((await mean(new Map())) - expected)).toBeGreaterThan(1);
  });

  test('gives the same words for the same graph', async () => {
    const graph = conv(image(random), 'a', 'image', 'Relu').build('a');
    const { plan, observations } = await quantize(graph, random);
    expect(quantizeGraph(graph, plan, observations)).toEqual(
      quantizeGraph(graph, planQuantization(graph), observations),
    );
  });
});

/** A random graph of everything that can be quantized, with float nodes in between. */
function drawGraph(draw: Random) {
  const graph = new FloatGraph(draw).input('image', [-1, 8, 8, 4]);
  const tensors = ['image'];
  const scalar = (name: string) => graph.constant(name, [], [draw.real(0.5, 2)]);
  for (let i = 0; i < draw.int(3, 14); i++) {
    const name = `n${i}`;
    const [x, y] = [draw.pick(tensors), draw.pick(tensors)];
    const kind = draw.int(0, 11);
    if (kind < 3) conv(graph, name, x, draw.pick([undefined, 'Relu', 'Relu6']));
    else if (kind === 3) {
      graph
        .weights(`${name}/w`, [3, 3, 4, 1])
        .node(name, 'DepthwiseConv2dNative', [x, `${name}/w`], windowAttrs());
    } else if (kind === 4) graph.node(name, 'AddV2', [x, y]);
    else if (kind === 5) graph.node(name, 'Mul', [x, y]);
    else if (kind === 6) graph.node(name, draw.pick(['Relu', 'Relu6', 'Sigmoid', 'Tanh', 'Elu', 'Neg']), [x]);
    else if (kind === 7)
      scalar(`${name}/c`).node(name, draw.pick(['Mul', 'AddV2', 'Maximum']), [x, `${name}/c`]);
    else if (kind === 8) graph.node(name, draw.pick(['MaxPool', 'AvgPool']), [x], windowAttrs({ ksize: 3 }));
    else if (kind === 9) {
      graph
        .constant(`${name}/axis`, [], [3], 'int32')
        .node(`${name}/both`, 'ConcatV2', [x, y, `${name}/axis`]);
      graph.weights(`${name}/w`, [1, 1, 8, 4], -0.4, 0.4);
      graph.node(name, 'Conv2D', [`${name}/both`, `${name}/w`], windowAttrs());
    } else if (kind === 10) graph.node(name, 'Softmax', [x]);
    else
      graph
        .constant(`${name}/s`, [4], [-1, 4, 16, 4], 'int32')
        .node(`${name}/r`, 'Reshape', [x, `${name}/s`])
        .constant(`${name}/t`, [4], [-1, 8, 8, 4], 'int32')
        .node(name, 'Reshape', [`${name}/r`, `${name}/t`]);
    tensors.push(name);
  }
  const outputs = new Set([tensors.at(-1)!, draw.pick(tensors.slice(1)), draw.pick(tensors.slice(1))]);
  return graph.build(...outputs);
}

test('any graph runs quantized, close to float, and the same with a node for every op', async () => {
  let regions = 0;
  await forEachCase('graphs', 150, async (draw) => {
    const { graph } = optimize(drawGraph(draw));
    if (planQuantization(graph).regions.length === 0) return;
    const { plan, observations, graph: quantized } = await quantize(graph, draw);
    regions += plan.regions.length;
    const feeds = drawFeeds(graph, draw);
    const expanded = quantizeGraph(graph, plan, observations, { regions: false }).graph;
    const [whole, parts] = [await execute(quantized, feeds), await execute(expanded, feeds)];
    expect(parts).toEqual(whole);
    for (const decibels of await fidelity(graph, quantized, draw)) expect(decibels).toBeGreaterThan(8);
  });
  expect(regions).toBeGreaterThan(150);
});
