/** ResNet-50 (He et al. 2016, table 1) in its version 1.5: the stride of a block is in its 3x3 convolution. */
import type { Graph } from '../../src/graph/ir';
import type { Layer, NetworkBuilder } from './builder';

const STAGES: readonly (readonly [channels: number, blocks: number])[] = [
  [64, 3],
  [128, 4],
  [256, 6],
  [512, 3],
];

function bottleneck(
  build: NetworkBuilder,
  name: string,
  from: Layer,
  channels: number,
  stride: number,
): Layer {
  const wide = 4 * channels;
  let x = build.convolution(`${name}/reduce`, from, { channels, kernel: 1, activation: 'relu' });
  x = build.convolution(`${name}/3x3`, x, { channels, kernel: 3, stride, activation: 'relu' });
  const linear = { channels: wide, kernel: 1, activation: 'linear' as const };
  x = build.convolution(`${name}/expand`, x, { ...linear, gamma: 0.5 });
  const shortcut =
    from.values.shape[3] === wide
      ? from
      : build.convolution(`${name}/shortcut`, from, { ...linear, stride, beta: 1.5 });
  return build.relu(`${name}/relu`, build.add(`${name}/add`, x, shortcut));
}

export function resnet50(build: NetworkBuilder): Graph {
  const stem = { channels: 64, kernel: 7, stride: 2, activation: 'relu' as const };
  let x = build.convolution('stem', build.input(), stem);
  x = build.maxPool('stem/pool', x, { kernel: 3, stride: 2 });
  STAGES.forEach(([channels, blocks], stage) => {
    for (let block = 0; block < blocks; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      x = bottleneck(build, `stage_${stage}/block_${block}`, x, channels, stride);
    }
  });
  return build.classifier(x, 1000);
}
