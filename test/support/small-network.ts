/** A few convolutions of an image: graphs that the quantizer makes a region of. */
import { FloatGraph, fusedAttrs, windowAttrs } from './float-graph';
import type { Random } from './random';

/** An input `image`. */
export function image(random: Random, shape = [-1, 8, 8, 4]): FloatGraph {
  return new FloatGraph(random).input('image', shape);
}

/** Adds a 3x3 convolution from 4 to 4 channels with a bias. */
export function conv(graph: FloatGraph, name: string, input: string, activation?: string): FloatGraph {
  const fused = fusedAttrs(activation ? ['BiasAdd', activation] : ['BiasAdd']);
  return graph
    .weights(`${name}/w`, [3, 3, 4, 4], -0.4, 0.4)
    .weights(`${name}/b`, [4], -0.5, 0.5)
    .node(name, '_FusedConv2D', [input, `${name}/w`, `${name}/b`], { ...windowAttrs(), ...fused });
}
