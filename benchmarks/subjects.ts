/** What is measured: networks made up here, and real models that lie beside the repository. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { packageRoot } from '../src/base/package-root';
import { imageFolder } from '../src/calibration/data/image-folder';
import type { DenseTensor, Sample } from '../src/graph/ir';
import { readModel } from '../src/graph/read-model';
import type { ImageOptions, InputSpec, SampleSource } from '../src/graph/samples';
import { writeGraphModel } from '../src/graph/write-graph-model';
import { GENERATED, generateNetwork, networkPictures } from './networks/generate';

export interface Subject {
  readonly name: string;
  /** Path of the float model's model.json, written into the folder where it must be made first. */
  float(folder: string): Promise<string>;
  readonly calibration: SampleSource;
  /** Samples that calibration did not see. */
  readonly test: SampleSource;
}

const SHARED = resolve(packageRoot(), '..', 'shared');
const MODELS = join(SHARED, 'models');

function networkSamples(firstSeed: number): SampleSource {
  return async function* ([{ name }]) {
    for (let seed = firstSeed; ; seed++) yield { [name]: networkPictures(seed, 1) };
  };
}

function generated(name: string): Subject {
  return {
    name,
    async float(folder) {
      await writeGraphModel(await generateNetwork(name), folder);
      return join(folder, 'model.json');
    },
    calibration: networkSamples(1000),
    test: networkSamples(2000),
  };
}

function realModel(name: string, calibration: SampleSource, test: SampleSource): Subject {
  return { name, float: async () => join(MODELS, name, 'model.json'), calibration, test };
}

/** A layers model, written as the graph that we read in it: TF.js runs that faster too. */
function asGraph(subject: Subject): Subject {
  return {
    ...subject,
    async float(folder) {
      await writeGraphModel(await readModel(await subject.float(folder)), folder);
      return join(folder, 'model.json');
    },
  };
}

function onImages(name: string, options: ImageOptions): Subject {
  const images = (folder: string) => imageFolder(join(SHARED, 'images', folder), options);
  return realModel(name, images('calib'), images('eval'));
}

const IMAGENET = { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] };

/** Records of CIFAR-10: a label and 32x32 RGB pixels. */
function cifar(file: string, mean: readonly number[], std: readonly number[]): SampleSource {
  const pixels = 32 * 32 * 3;
  return async function* ([{ name }]: readonly InputSpec[]) {
    const bytes = readFileSync(join(SHARED, 'datasets', 'cifar10', file));
    for (let at = 1; at + pixels <= bytes.length; at += pixels + 1) {
      const values = Float32Array.from(
        bytes.subarray(at, at + pixels),
        (value, i) => (value - mean[i % 3]) / std[i % 3],
      );
      yield { [name]: { dtype: 'float32', shape: [1, 32, 32, 3], values } };
    }
  };
}

function onCifar(name: string, mean: readonly number[], std: readonly number[]): Subject {
  return realModel(name, cifar('train_6000.bin', mean, std), cifar('test_2000.bin', mean, std));
}

const REAL: readonly Subject[] = [
  onImages('mobilenet_v2_1.0_224_float', { mean: 127.5, std: 127.5 }),
  onImages('squeezenet1_1', IMAGENET),
  asGraph(onImages('mobilenet_v1_0.25_224', { mean: 127.5, std: 127.5 })),
  onCifar('resnet20_cifar10', IMAGENET.mean, IMAGENET.std),
  asGraph(onCifar('resnet8_cifar10', [0, 0, 0], [1, 1, 1])),
  onImages('blazeface-front', { mean: 127.5, std: 127.5 }),
  onImages('facemesh', { mean: 0, std: 255 }),
];

/**
 * @param names default: everything that can be measured here
 * @throws Error for a name that is not there
 */
export function findSubjects(names?: readonly string[]): Subject[] {
  const present = REAL.filter(({ name }) => existsSync(join(MODELS, name)));
  const all = [...GENERATED.map(generated), ...present];
  return (names ?? all.map(({ name }) => name)).map((name) => {
    const found = all.find((subject) => subject.name === name);
    if (!found) throw new Error(`No model '${name}' here; there are ${all.map((s) => s.name).join(', ')}.`);
    return found;
  });
}

/** The first samples of a source as one batch. */
export async function batchOf(
  source: SampleSource,
  inputs: readonly InputSpec[],
  batch: number,
): Promise<Sample> {
  const samples: Sample[] = [];
  for await (const sample of source(inputs)) {
    samples.push(sample);
    if (samples.length === batch) break;
  }
  const names = inputs.map(({ name }) => name);
  return Object.fromEntries(names.map((name) => [name, stack(samples.map((sample) => sample[name]))]));
}

function stack(tensors: readonly DenseTensor[]): DenseTensor {
  const [{ dtype, shape, values }] = tensors;
  const stacked = new Float32Array(values.length * tensors.length);
  tensors.forEach((tensor, i) => {
    stacked.set(tensor.values, i * values.length);
  });
  return { dtype, shape: [tensors.length, ...shape.slice(1)], values: stacked };
}
