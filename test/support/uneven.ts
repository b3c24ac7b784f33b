import type { Graph } from '../../src/graph/ir';
import { FloatGraph, fusedAttrs, windowAttrs } from './float-graph';
import type { Random } from './random';

/** A depthwise layer whose channels differ a hundredfold, and a product that brings them back to one size. */
export function uneven(random: Random): Graph {
  const channels = 8;
  const size = (c: number) => 100 ** (c / (channels - 1));
  const scaled = (count: number, scale: (c: number) => number) =>
    Array.from({ length: count }, (_, i) => random.real(0.2, 1) * scale(i));
  return new FloatGraph(random)
    .input('image', [1, 6, 6, channels])
    .constant('d/w', [1, 1, channels, 1], scaled(channels, size))
    .constant('d/b', [channels], new Array(channels).fill(0))
    .constant(
      'p/w',
      [1, 1, channels, channels],
      scaled(channels * channels, (i) => 1 / size(Math.floor(i / channels))),
    )
    .node('d', 'FusedDepthwiseConv2dNative', ['image', 'd/w', 'd/b'], {
      ...windowAttrs(),
      ...fusedAttrs(['BiasAdd']),
    })
    .node('p', 'Conv2D', ['d', 'p/w'], windowAttrs())
    .build('p');
}
