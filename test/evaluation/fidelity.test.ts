// @needs engine

import { fidelityWarnings } from '../../src/conversion/stages/check';
import { type Fidelity, measureFidelity } from '../../src/evaluation/fidelity';
import { attr } from '../../src/graph/attrs';
import type { Graph, Sample } from '../../src/graph/ir';
import { signalToNoise } from '../../src/quantization/metrics';
import { FloatGraph } from '../support/float-graph';
import { randomOf } from '../support/random';

const random = randomOf('fidelity', 0);
const samples = [1, 2, 3].map(
  (k): Sample => ({ x: { dtype: 'float32', shape: [1, 4], values: Float32Array.of(k, -k, 2 * k, 0.5) } }),
);

/** factor * x + shift, beside tanh of it: [1, 8]. */
function graph(factor: number, shift: number): Graph {
  return new FloatGraph(random)
    .input('x', [-1, 4])
    .constant('factor', [4], [factor, factor, factor, factor])
    .constant('shift', [4], [shift, shift, shift, shift])
    .constant('axis', [], [-1], 'int32')
    .node('scaled', 'Mul', ['x', 'factor'])
    .node('shifted', 'AddV2', ['scaled', 'shift'])
    .node('squashed', 'Tanh', ['x'])
    .node('small', 'Mul', ['squashed', 'factor'])
    .node('joined', 'ConcatV2', ['shifted', 'squashed'], { N: attr.int(2) })
    .build('shifted', 'joined');
}

const joined = (g: Graph): Graph => {
  const nodes = new Map(g.nodes);
  const node = nodes.get('joined')!;
  nodes.set('joined', { ...node, inputs: [...node.inputs, { node: 'axis', index: 0 }] });
  return { ...g, nodes };
};

const measure = (float: Graph, lowbit: Graph, check = samples): Promise<Fidelity> =>
  measureFidelity({ float: joined(float), lowbit: joined(lowbit) }, { samples: check, heldBack: true });

const xs = samples.flatMap(({ x }) => Array.from(x.values));

test('outputs and the parts of one that joins others are compared as written out by hand', async () => {
  const { outputs, ...rest } = await measure(graph(1, 10), graph(1.1, 10));
  expect(rest).toEqual({ samples: 3, heldBack: true });
  const [shifted, both] = outputs;
  const float = xs.map((x) => x + 10);
  const expected = signalToNoise(
    float,
    xs.map((x) => 1.1 * x + 10),
  );
  expect(shifted.signalToNoise).toBeCloseTo(expected, 3);
  // Without the mean of each element over the samples: -1, 0, 1 times the element's step of 1, -1, 2 and 0.
  const noise = xs.reduce((sum, x) => sum + (0.1 * x) ** 2, 0);
  expect(shifted.varyingSignalToNoise).toBeCloseTo(10 * Math.log10((2 * (1 + 1 + 4)) / noise), 3);
  expect(both.parts).toEqual([
    { name: 'shifted', signalToNoise: expect.closeTo(expected, 3) },
    { name: 'squashed', signalToNoise: Number.POSITIVE_INFINITY },
  ]);
});

test('a mean that hides the noise gives a warning', async () => {
  const fidelity = await measure(graph(0.01, 10), graph(0.02, 10));
  expect(fidelity.outputs[0].signalToNoise).toBeGreaterThan(50);
  expect(fidelity.outputs[0].varyingSignalToNoise).toBeLessThan(0);
  expect(fidelityWarnings(fidelity)).toContainEqual(
    expect.stringMatching(/^Output 'shifted' .* hides the noise/),
  );
});

test('an output that no longer depends on the input gives a warning', async () => {
  const fidelity = await measure(graph(0.01, 10), graph(0, 10));
  expect(fidelity.outputs[0]).toMatchObject({ name: 'shifted', constant: true });
  expect(fidelityWarnings(fidelity)).toContainEqual(
    expect.stringMatching(/^Output 'shifted' does not depend on the input/),
  );
  expect((await measure(graph(0, 10), graph(0, 10))).outputs[0]).toEqual({
    name: 'shifted',
    signalToNoise: Number.POSITIVE_INFINITY,
  });
});

test('a small part beside a large one gives a warning', async () => {
  const float = graph(100, 0);
  const wrong = { ...float, nodes: new Map(float.nodes) };
  wrong.nodes.set('squashed', { ...float.nodes.get('squashed')!, op: 'Sigmoid' });
  const fidelity = await measure(float, wrong);
  expect(fidelity.outputs[1].signalToNoise).toBeGreaterThan(30);
  expect(fidelityWarnings(fidelity)).toEqual([
    expect.stringMatching(/^The part 'squashed' of output 'joined'/),
  ]);
});

test('a single sample says nothing of what depends on the input', async () => {
  const { outputs } = await measure(graph(1, 0), graph(1.01, 0), samples.slice(0, 1));
  expect(outputs[0].varyingSignalToNoise).toBeUndefined();
  expect(outputs[0].signalToNoise).toBeCloseTo(40, 3);
});
