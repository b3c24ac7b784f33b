/** Float models of some hundred megabytes: chains of layers with random weights. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attr, shapeToJson } from '../../src/graph/attrs';
import { windowAttrs } from './float-graph';
import { randomOf } from './random';
import { temporaryFolder } from './tiny-model';

/** Weights lie across shards, as a layer's bytes are no multiple of it. */
const SHARD_BYTES = 3 * 1024 * 1024;

const KINDS = {
  /** 4 MiB a layer */
  dense: { channels: 1024, filter: [1024, 1024], input: [-1, 1024], op: 'MatMul' },
  /** 9 MiB */
  convolutions: { channels: 512, filter: [3, 3, 512, 512], input: [-1, 8, 8, 512], op: 'Conv2D' },
  /** 64 MiB */
  'huge dense': { channels: 4096, filter: [4096, 4096], input: [-1, 4096], op: 'MatMul' },
  /** 68 MiB */
  'huge convolutions': { channels: 1408, filter: [3, 3, 1408, 1408], input: [-1, 4, 4, 1408], op: 'Conv2D' },
};

export interface LargeFloat {
  readonly location: string;
  /** Of the weights. */
  readonly bytes: number;
  readonly input: readonly number[];
  readonly filter: readonly number[];
  /** An element of the weights of a layer. */
  weight(layer: number, index: number): number;
}

export function writeLargeFloat(kind: keyof typeof KINDS, layers: number): LargeFloat {
  const { channels, filter, input, op } = KINDS[kind];
  const elements = filter.reduce((product, d) => product * d, 1);
  const random = randomOf('large float model', 0);
  const bound = Math.sqrt((6 * channels) / elements);
  // One layer of weights, and for every other one the same from another position on.
  const block = Float32Array.from({ length: elements }, () => random.real(-bound, bound));
  const weight = (layer: number, index: number) => block[(index + 7919 * layer) % elements];
  const folder = join(temporaryFolder(), `large-${kind.replace(' ', '-')}`);
  mkdirSync(folder, { recursive: true });
  const bytes = 4 * elements * layers;
  const paths = Array.from({ length: Math.ceil(bytes / SHARD_BYTES) }, (_, i) => `shard${i}.bin`);
  paths.forEach((path, i) => {
    const start = (i * SHARD_BYTES) / 4;
    const length = Math.min(SHARD_BYTES, bytes - i * SHARD_BYTES) / 4;
    const shard = Float32Array.from({ length }, (_, k) =>
      weight(Math.floor((start + k) / elements), (start + k) % elements),
    );
    writeFileSync(join(folder, path), new Uint8Array(shard.buffer));
  });
  const weights = Array.from({ length: layers }, (_, i) => `w${i}`);
  const float = { T: attr.dtype('float32') };
  const layerAttrs =
    op === 'MatMul' ? { ...float, transpose_a: { b: false }, transpose_b: { b: false } } : windowAttrs();
  const shape = shapeToJson(input);
  const node = [
    { name: 'x', op: 'Placeholder', attr: { dtype: attr.dtype('float32'), shape: { shape } } },
    ...weights.flatMap((name, i) => [
      { name, op: 'Const', attr: { dtype: attr.dtype('float32') } },
      { name: `layer${i}`, op, input: [i === 0 ? 'x' : `relu${i - 1}`, name], attr: layerAttrs },
      { name: `relu${i}`, op: 'Relu', input: [`layer${i}`], attr: float },
    ]),
  ];
  const tensor = (name: string) => ({ name, dtype: 'DT_FLOAT', tensorShape: shape });
  const model = {
    format: 'graph-model',
    signature: { inputs: { x: tensor('x:0') }, outputs: { y: tensor(`relu${layers - 1}:0`) } },
    modelTopology: { node, library: {}, versions: {} },
    weightsManifest: [{ paths, weights: weights.map((name) => ({ name, shape: filter, dtype: 'float32' })) }],
  };
  const location = join(folder, 'model.json');
  writeFileSync(location, JSON.stringify(model));
  return { location, bytes, input, filter, weight };
}
