/** MobileNetV2 1.0 (Sandler et al. 2018, table 2). */
import type { Graph } from '../../src/graph/ir';
import type { Layer, NetworkBuilder } from './builder';

interface Stage {
  readonly expansion: number;
  readonly channels: number;
  readonly repeats: number;
  readonly stride: number;
}

const STAGES: readonly Stage[] = [
  { expansion: 1, channels: 16, repeats: 1, stride: 1 },
  { expansion: 6, channels: 24, repeats: 2, stride: 2 },
  { expansion: 6, channels: 32, repeats: 3, stride: 2 },
  { expansion: 6, channels: 64, repeats: 4, stride: 2 },
  { expansion: 6, channels: 96, repeats: 3, stride: 1 },
  { expansion: 6, channels: 160, repeats: 3, stride: 2 },
  { expansion: 6, channels: 320, repeats: 1, stride: 1 },
];

function bottleneck(
  build: NetworkBuilder,
  name: string,
  from: Layer,
  { expansion, channels, stride }: Omit<Stage, 'repeats'>,
): Layer {
  const inputs = from.values.shape[3];
  let x = from;
  if (expansion > 1) {
    const expand = { channels: inputs * expansion, kernel: 1, activation: 'relu6' as const };
    x = build.convolution(`${name}/expand`, x, expand);
  }
  x = build.depthwise(`${name}/depthwise`, x, { stride, activation: 'relu6' });
  const residual = stride === 1 && inputs === channels;
  const project = { channels, kernel: 1, activation: 'linear' as const, gamma: residual ? 0.5 : 1 };
  x = build.convolution(`${name}/project`, x, project);
  return residual ? build.add(`${name}/add`, from, x) : x;
}

export function mobilenetV2(build: NetworkBuilder): Graph {
  const stem = { channels: 32, kernel: 3, stride: 2, activation: 'relu6' as const };
  let x = build.convolution('stem', build.input(), stem);
  let block = 0;
  for (const { repeats, stride, ...stage } of STAGES) {
    for (let i = 0; i < repeats; i++) {
      x = bottleneck(build, `block_${block++}`, x, { ...stage, stride: i === 0 ? stride : 1 });
    }
  }
  x = build.convolution('head', x, { channels: 1280, kernel: 1, activation: 'relu6' });
  return build.classifier(x, 1001);
}
