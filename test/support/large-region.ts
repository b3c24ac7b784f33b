/** Converted models of one region with many layers, of some hundred megabytes, written without a float model. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  encodeProgram,
  type Op,
  OpKind,
  PaddingMode,
  type TensorSpec,
  TensorType,
  WeightFormat,
  WeightsBuilder,
} from '../../src/program/program';
import { temporaryFolder } from './tiny-model';

const SHARD_BYTES = 2 ** 22;

export interface LargeModel {
  location: string;
  /** Of the shards. */
  bytes: number;
}

/** @param kind dense layers of 2048 x 2048, or convolutions 3x3 of 512 channels */
export function writeLargeRegion(kind: 'dense' | 'convolutions', layers: number): LargeModel {
  const channels = kind === 'dense' ? 2048 : 512;
  const taps = kind === 'dense' ? 1 : 9;
  const shape = kind === 'dense' ? [-1, channels] : [-1, 4, 4, channels];
  const weights = new WeightsBuilder();
  const spec = (type: TensorType): TensorSpec => ({
    type,
    shape,
    scale: type === TensorType.Int8 ? 0.1 : 1,
    zeroPoint: 0,
  });
  const ops: Op[] = [{ kind: OpKind.Quantize, name: 'in', inputs: [0], output: 1 }];
  for (let i = 0; i < layers; i++) {
    const values = new Int8Array(channels * taps * channels);
    for (let at = 0; at < values.length; at++) values[at] = ((at * 31 + i * 7) % 15) - 7;
    values[0] = i; // equal weights would be stored once
    const filter = {
      format: WeightFormat.Int8 as const,
      filterOffset: weights.append(values),
      scaleOffset: weights.append(new Float32Array(channels).fill(0.005)),
      biasOffset: weights.append(new Int32Array(channels).fill(i)),
    };
    const at = {
      name: `layer${i}`,
      inputs: [i + 1],
      output: i + 2,
      filter,
      activation: { codeMin: -128, codeMax: 127 },
    };
    ops.push(
      kind === 'dense'
        ? { kind: OpKind.Linear, ...at, inFeatures: channels, outFeatures: channels }
        : {
            ...{ kind: OpKind.Conv2D, ...at, inChannels: channels, outChannels: channels, groups: 1 },
            window: { kernel: [3, 3], strides: [1, 1], padding: { mode: PaddingMode.Same } },
          },
    );
  }
  ops.push({ kind: OpKind.Dequantize, name: 'out', inputs: [layers + 1], output: layers + 2 });
  const tensors = Array.from({ length: layers + 3 }, (_, id) =>
    spec(id === 0 || id === layers + 2 ? TensorType.Float32 : TensorType.Int8),
  );
  const words = encodeProgram({ tensors, ops, inputs: [0], outputs: [layers + 2] });
  return writeModel(shape, { program: words, weights: weights.build() });
}

function writeModel(shape: readonly number[], constants: Readonly<Record<string, Int32Array>>): LargeModel {
  const folder = join(temporaryFolder(), 'large-region');
  mkdirSync(folder, { recursive: true });
  const data = Buffer.concat(
    Object.values(constants).map(({ buffer, byteOffset, byteLength }) =>
      Buffer.from(buffer, byteOffset, byteLength),
    ),
  );
  const paths: string[] = [];
  for (let start = 0; start < data.length; start += SHARD_BYTES) {
    paths.push(`shard${paths.length}.bin`);
    writeFileSync(join(folder, paths.at(-1)!), data.subarray(start, start + SHARD_BYTES));
  }
  const dims = (of: readonly number[]) => ({ shape: { dim: of.map((size) => ({ size: String(size) })) } });
  const names = Object.keys(constants);
  const node = [
    { name: 'x', op: 'Placeholder', attr: { dtype: { type: 'DT_FLOAT' }, shape: dims(shape) } },
    ...names.map((name) => ({
      ...{ name, op: 'Const' },
      attr: { dtype: { type: 'DT_INT32' }, shape: dims([constants[name]!.length]) },
    })),
    { name: 'y', op: 'QuantizedRegion', input: ['x', ...names], attr: {} },
  ];
  const tensorOf = (name: string) => ({ name, dtype: 'DT_FLOAT', tensorShape: dims(shape).shape });
  const model = {
    format: 'graph-model',
    modelTopology: { node, versions: { producer: 1 } },
    signature: { inputs: { x: tensorOf('x') }, outputs: { y: tensorOf('y') } },
    weightsManifest: [
      { paths, weights: names.map((name) => ({ name, dtype: 'int32', shape: [constants[name]!.length] })) },
    ],
  };
  const location = join(folder, 'model.json');
  writeFileSync(location, JSON.stringify(model));
  return { location, bytes: data.length };
}
