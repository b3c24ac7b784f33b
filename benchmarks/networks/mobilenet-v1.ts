/** MobileNetV1 (Howard et al. 2017, table 1). */
import type { Graph } from '../../src/graph/ir';
import type { NetworkBuilder } from './builder';

/** Channels and stride of each depthwise separable convolution. */
const BLOCKS: readonly (readonly [channels: number, stride: number])[] = [
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [1024, 2],
  [1024, 1],
];

export function mobilenetV1(build: NetworkBuilder): Graph {
  const stem = { channels: 32, kernel: 3, stride: 2, activation: 'relu6' as const };
  let x = build.convolution('stem', build.input(), stem);
  BLOCKS.forEach(([channels, stride], i) => {
    x = build.depthwise(`block_${i}/depthwise`, x, { stride, activation: 'relu6' });
    x = build.convolution(`block_${i}/pointwise`, x, { channels, kernel: 1, activation: 'relu6' });
  });
  return build.classifier(x, 1001);
}
