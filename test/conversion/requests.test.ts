// @needs engine
/** What was requested and cannot be done gives a warning. */
import { convertGraph } from '../../src/conversion/convert-graph';
import type { QuantizationOptions } from '../../src/conversion/options/options';
import { attr } from '../../src/graph/attrs';
import { drawFeeds, FloatGraph } from '../support/float-graph';
import { toSample } from '../support/quantize';
import { randomOf } from '../support/random';

const random = randomOf('requests', 0);

/** A dense layer, a product of two of its results, a sum. */
const graph = new FloatGraph(random)
  .input('x', [-1, 6, 16])
  .weights('w', [16, 16])
  .constant('rows', [2], [-1, 16], 'int32')
  .constant('tokens', [3], [-1, 6, 16], 'int32')
  .node('flat', 'Reshape', ['x', 'rows'])
  .node('dense', 'MatMul', ['flat', 'w'])
  .node('grouped', 'Reshape', ['dense', 'tokens'])
  .node('scores', 'BatchMatMulV2', ['grouped', 'grouped'], {
    adj_x: attr.bool(false),
    adj_y: attr.bool(true),
  })
  .node('rounded', 'Round', ['scores'])
  .build('scores', 'rounded');

async function warningsOf(options: QuantizationOptions): Promise<readonly string[]> {
  const samples = Array.from({ length: 4 }, () => toSample(drawFeeds(graph, random)));
  const data = async function* () {
    yield* samples;
  };
  return (await convertGraph(graph, data, options)).warnings;
}

test.each<[string, QuantizationOptions, RegExp[]]>([
  ['nothing', {}, []],
  ['what can be done', { int16: ['dense'] }, []],
  [
    'a product of two activations',
    { int16: ['scores'] },
    [/^The pattern 'scores' requests int16 activations, .*two activations/],
  ],
  ['the same among others', { dynamic: ['**'] }, [/^dynamic activations do not apply to 'scores'/]],
  [
    'a node that stays float',
    { int16: ['rounded'] },
    [/^The pattern 'rounded' requests int16 .*'rounded' in float, as/],
  ],
  ['a pattern that matches nothing', { int16: ['heads/*'] }, [/^The pattern 'heads\/\*' matches no node/]],
  ['too many layers', { int16: 9 }, [/^int16 activations were requested for 9 layers; only \d can/]],
  [
    'low-bit weights of the only layer',
    { weights: 'int4' },
    [/^No layer has int4 weights, all are INT8: it is the first/],
  ],
  ['a percentile of no method', { percentile: 99 }, [/^The option percentile does nothing: no range/]],
  ['a group of INT8 weights', { group: 64 }, [/^The option group does nothing: all weights are INT8/]],
  ['a rotation of INT8 weights', { rotate: true }, [/^The option rotate does nothing/]],
  ['samples of no target', { validationSamples: 3 }, [/^The option validationSamples does nothing/]],
])('%s', async (_, options, expected) => {
  const warnings = await warningsOf(options);
  expect(warnings).toEqual(expected.map((pattern) => expect.stringMatching(pattern)));
});

test.each<[string, QuantizationOptions]>([
  ['percentile', { calibrationMethod: 'percentile', percentile: 99 }],
  ['group', { config: { layers: [{ match: 'dense', weights: 'int4' }] }, group: 64 }],
  ['validationSamples', { minSignalToNoise: 1, validationSamples: 3 }],
])('an option beside what it is for: %s', async (_, options) => {
  expect(await warningsOf(options)).toEqual([]);
});

test('sequential bias correction of a model with one layer, where no layer comes before another', async () => {
  const single = new FloatGraph(random)
    .input('x', [-1, 16])
    .weights('w', [16, 4])
    .node('y', 'MatMul', ['x', 'w'])
    .build('y');
  const samples = Array.from({ length: 4 }, () => toSample(drawFeeds(single, random)));
  const data = async function* () {
    yield* samples;
  };
  const { regions } = await convertGraph(single, data, { biasCorrection: 'sequential' });
  expect(regions).toBe(1);
});
