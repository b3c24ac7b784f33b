// @needs engine
import '../../src/index.node';
import { convertGraph } from '../../src/conversion/convert-graph';
import { fidelityWarnings } from '../../src/conversion/stages/check';
import { measureFidelity } from '../../src/evaluation/fidelity';
import { judgedTensors } from '../../src/evaluation/judged-tensors';
import { attr } from '../../src/graph/attrs';
import type { Graph, Sample } from '../../src/graph/ir';
import { drawFeeds, FloatGraph } from '../support/float-graph';
import { randomOf } from '../support/random';
import { conv, image } from '../support/small-network';

const random = randomOf('judged-tensors', 0);
const FLOAT = { T: attr.dtype('float32') };
const WHOLE = { T: attr.dtype('int32') };

const judge = (graph: Graph) => {
  const { tensors, selections } = judgedTensors(graph, () => true);
  return { names: tensors.map(({ name }) => name), selections: Object.fromEntries(selections) };
};

/** Scores and boxes of 64 places, each computed by a convolution of its own. */
function heads(): FloatGraph {
  const graph = image(random, [1, 8, 8, 4]);
  conv(graph, 'features', 'image', 'Relu');
  conv(graph, 'scores', 'features');
  conv(graph, 'boxes', 'features');
  return graph
    .constant('flat', [1], [256], 'int32')
    .constant('rows', [2], [64, 4], 'int32')
    .constant('few', [], [5], 'int32')
    .constant('axis', [], [0], 'int32')
    .node('all scores', 'Reshape', ['scores', 'flat'], FLOAT)
    .node('all boxes', 'Reshape', ['boxes', 'rows'], FLOAT)
    .node('best', 'TopKV2', ['all scores', 'few'], FLOAT)
    .constant('channels', [], [4], 'int32')
    .node('place', 'FloorDiv', ['best:1', 'channels'], WHOLE)
    .node('best boxes', 'GatherV2', ['all boxes', 'place', 'axis'], { Tparams: attr.dtype('float32') });
}

test('what is gathered by the best scores is judged by these and by what it is gathered from', () => {
  const sources = ['all scores', 'all boxes'];
  expect(judge(heads().build('best boxes'))).toEqual({
    names: expect.arrayContaining(sources),
    selections: { 'best boxes': expect.arrayContaining(sources) },
  });
  // An output that has the same numbers is judged in their place.
  expect(judge(heads().build('best boxes', 'boxes', 'scores'))).toEqual({
    names: ['boxes', 'scores'],
    selections: { 'best boxes': expect.arrayContaining(['boxes', 'scores']) },
  });
});

test('peaks are judged by the numbers among which they are found', () => {
  const window = {
    ...FLOAT,
    strides: attr.ints([1, 1, 1, 1]),
    ksize: attr.ints([1, 3, 3, 1]),
    padding: attr.string('SAME'),
  };
  const peaks = conv(image(random, [1, 8, 8, 4]), 'heat', 'image', 'Relu')
    .node('highest', 'MaxPool', ['heat'], window)
    .node('is peak', 'Equal', ['heat', 'highest'], FLOAT)
    .node('mask', 'Cast', ['is peak'], { SrcT: attr.dtype('bool'), DstT: attr.dtype('float32') })
    .node('peaks', 'Mul', ['heat', 'mask'], FLOAT)
    .build('peaks');
  expect(judge(peaks)).toEqual({ names: ['heat'], selections: { peaks: ['heat'] } });
});

test('classes, and outputs that no quantized number has selected, are judged themselves', () => {
  const classes = conv(image(random, [1, 8, 8, 4]), 'scores', 'image')
    .constant('last', [], [3], 'int32')
    .node('classes', 'ArgMax', ['scores', 'last'], { ...FLOAT, output_type: attr.dtype('int32') })
    .build('classes');
  expect(judge(classes)).toEqual({ names: ['classes'], selections: {} });
  const sparse = new FloatGraph(random)
    .input('x', [4, 4])
    .constant('zero', [], [0])
    .constant('axis', [], [0], 'int32')
    .weights('matrix', [4, 4])
    .node('used', 'NotEqual', ['x', 'zero'], FLOAT)
    .node('where', 'Where', ['used'])
    .node('some', 'GatherV2', ['x', 'where', 'axis'])
    .node('y', 'MatMul', ['some', 'matrix'], FLOAT)
    .build('y');
  expect(judge(sparse)).toEqual({ names: ['y'], selections: {} });
});

test('a source that another form of the model lacks leaves the output as it is', () => {
  const graph = heads().build('best boxes');
  const { tensors, selections } = judgedTensors(graph, (node) => node !== 'best');
  expect(tensors.map(({ name }) => name)).toEqual(['best boxes']);
  expect(selections.size).toBe(0);
});

test('a recipe is not given up for scores that are nearly equal', async () => {
  const graph = heads().build('best boxes');
  const samples = Array.from({ length: 16 }, (): Sample => {
    const { image: drawn } = drawFeeds(graph, random);
    return { image: { dtype: 'float32', ...drawn } };
  });
  const source = async function* () {
    yield* samples;
  };
  const settings = { biasCorrection: 'none' as const };
  const { recipe, ...converted } = await convertGraph(graph, source, settings);
  expect(recipe).toMatchObject({
    met: true,
    selections: { 'best boxes': expect.arrayContaining(['all scores']) },
  });
  expect(recipe!.steps).toHaveLength(1);
  const { outputs } = await measureFidelity(
    { float: graph, lowbit: converted.graph },
    { samples, heldBack: true },
  );
  const decibels = Object.fromEntries(outputs.map(({ name, signalToNoise }) => [name, signalToNoise]));
  // Boxes of another place in some samples.
  expect(decibels['best boxes']).toBeLessThan(20);
  expect(decibels['all boxes']).toBeGreaterThan(30);
  expect(decibels['all scores']).toBeGreaterThan(30);
  expect(fidelityWarnings({ samples: 16, heldBack: true, outputs })).toEqual([]);
});
