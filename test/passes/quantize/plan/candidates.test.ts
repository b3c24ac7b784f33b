import { attr } from '../../../../src/graph/attrs';
import { inferShapes } from '../../../../src/graph/infer-shapes';
import type { Graph } from '../../../../src/graph/ir';
import { findCandidates, floatFormOf, opOf } from '../../../../src/passes/quantize/plan/candidates';
import { FloatGraph, windowAttrs } from '../../../support/float-graph';
import { randomOf } from '../../../support/random';
import { conv, image } from '../../../support/small-network';

const random = randomOf('candidates', 0);
const find = (graph: Graph, requested?: Map<string, string>) =>
  findCandidates(graph, inferShapes(graph), requested);

test('every node but constants and inputs is a candidate, or has the reason why not', () => {
  const graph = conv(image(random), 'a', 'image')
    .node('relu', 'Relu', ['a'])
    .node('rounded', 'Round', ['relu'])
    .constant('to', [2], [-1, 256], 'int32')
    .node('cast', 'Cast', ['rounded'], { DstT: attr.dtype('int32') })
    .build('cast');
  const { candidates, float } = find(graph);
  expect([...candidates].map(([name, { kind }]) => [name, kind])).toEqual([
    ['a', 'weighted'],
    ['relu', 'pointwise'],
  ]);
  expect(Object.fromEntries(float)).toEqual({
    rounded: 'Round has no quantized form',
    cast: 'its data is int32',
  });
});

test('a requested reason goes before all others', () => {
  const graph = conv(image(random), 'a', 'image').node('rounded', 'Round', ['a']).build('rounded');
  const requested = new Map([
    ['a', 'requested'],
    ['rounded', 'requested too'],
  ]);
  expect([...find(graph, requested).float]).toEqual([...requested]);
});

test('a node of which a later output is read stays float', () => {
  const graph = image(random)
    .weights('g', [4])
    .weights('b', [4])
    .weights('m', [4])
    .weights('v', [4], 0.5, 1)
    .node('norm', 'FusedBatchNormV3', ['image', 'g', 'b', 'm', 'v'])
    .node('mean', 'Identity', ['norm:1'])
    .build('norm', 'mean');
  expect(find(graph).float.get('norm')).toBe('more than its first output is read');
});

/** A transposed convolution, then y = x * scale, read as `outputs`. */
function scaled(...outputs: string[]): Graph {
  return new FloatGraph(random)
    .input('x', [2, 5, 5, 6])
    .weights('w', [3, 3, 4, 6])
    .constant('size', [4], [2, 10, 10, 4], 'int32')
    .node('up', 'Conv2DBackpropInput', ['size', 'w', 'x'], windowAttrs({ strides: 2 }))
    .weights('scale', [4])
    .node('y', 'Mul', ['up', 'scale'])
    .build(...outputs);
}

test('a scale of each channel is fused into the transposed convolution before it', () => {
  const fused = find(scaled('y')).candidates.get('y');
  expect(fused).toMatchObject({ kind: 'weighted', layerNode: { name: 'up' }, activations: [{ node: 'x' }] });
});

test('and is not, where the transposed convolution is an output too', () => {
  expect(find(scaled('y', 'up')).candidates.get('y')?.kind).toBe('channelAffine');
});

test('a function is not planned as an op, and an op without a float32 form not as one', () => {
  const graph = conv(image(random), 'a', 'image')
    .node('soft', 'Softmax', ['a'])
    .node('relu', 'Relu', ['soft']);
  const { candidates } = find(graph.build('relu'));
  expect(opOf(candidates, 'a').kind).toBe('weighted');
  expect(() => opOf(candidates, 'relu')).toThrow("'relu' is a function");
  expect(floatFormOf(candidates, 'relu').kind).toBe('pointwise');
  expect(() => floatFormOf(candidates, 'soft')).toThrow("'soft' has no form on float32");
});
