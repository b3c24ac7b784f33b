/** Activation functions as graphs write them out, between two convolutions. */
import type { Graph } from '../../src/graph/ir';
import type { FloatGraph } from './float-graph';
import type { Random } from './random';
import { conv, image } from './small-network';

type Write = (graph: FloatGraph) => FloatGraph;

/** Each makes `f` of `a`. */
export const WRITTEN_OUT: Readonly<Record<string, Write>> = {
  Mish: (graph) =>
    graph
      .node('softplus', 'Softplus', ['a'])
      .node('tanh', 'Tanh', ['softplus'])
      .node('f', 'Mul', ['a', 'tanh']),
  'GELU by erf': (graph) =>
    graph
      .constant('root', [], [Math.SQRT1_2])
      .constant('one', [], [1])
      .constant('half', [], [0.5])
      .node('scaled', 'Mul', ['a', 'root'])
      .node('erf', 'Erf', ['scaled'])
      .node('shifted', 'AddV2', ['erf', 'one'])
      .node('halved', 'Mul', ['a', 'half'])
      .node('f', 'Mul', ['halved', 'shifted']),
  'GELU by tanh': (graph) =>
    graph
      .constant('cubic', [], [0.044715])
      .constant('root', [], [Math.sqrt(2 / Math.PI)])
      .constant('one', [], [1])
      .constant('half', [], [0.5])
      .node('square', 'Square', ['a'])
      .node('cube', 'Mul', ['square', 'a'])
      .node('term', 'Mul', ['cube', 'cubic'])
      .node('sum', 'AddV2', ['a', 'term'])
      .node('scaled', 'Mul', ['sum', 'root'])
      .node('tanh', 'Tanh', ['scaled'])
      .node('shifted', 'AddV2', ['tanh', 'one'])
      .node('halved', 'Mul', ['a', 'half'])
      .node('f', 'Mul', ['halved', 'shifted']),
  'SELU and a sum': (graph) => graph.node('selu', 'Selu', ['a']).node('f', 'AddV2', ['selu', 'a']),
  'tanh and square': (graph) => graph.node('tanh', 'Tanh', ['a']).node('f', 'Square', ['tanh']),
  'LeakyReLU and maximum': (graph) =>
    graph.constant('c', [], [-0.1]).node('leaky', 'LeakyRelu', ['a']).node('f', 'Maximum', ['leaky', 'c']),
  'maximum and LeakyReLU': (graph) =>
    graph.constant('c', [], [-0.5]).node('max', 'Maximum', ['a', 'c']).node('f', 'LeakyRelu', ['max']),
  'tanh and reshape': (graph) =>
    graph
      .constant('shape', [4], [-1, 8, 8, 4], 'int32')
      .node('tanh', 'Tanh', ['a'])
      .node('f', 'Reshape', ['tanh', 'shape']),
  'softplus, tanh and a gate of two functions': (graph) =>
    graph
      .node('softplus', 'Softplus', ['a'])
      .node('tanh', 'Tanh', ['softplus'])
      .node('sigmoid', 'Sigmoid', ['softplus'])
      .node('f', 'Mul', ['tanh', 'sigmoid']),
  'a function that two others share': (graph) =>
    graph
      .node('tanh', 'Tanh', ['a'])
      .node('square', 'Square', ['tanh'])
      .node('leaky', 'LeakyRelu', ['tanh'])
      .node('pool', 'Selu', ['leaky'])
      .node('f', 'Sub', ['square', 'pool']),
};

/** image -> conv a -> function f -> conv b */
export function withFunction(random: Random, write: Write): Graph {
  return conv(write(conv(image(random), 'a', 'image')), 'b', 'f').build('b');
}
