/** Calibration: runs the float graph on sample data in TF.js and observes the range of tensors. */
import { createHash, type Hash } from 'node:crypto';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { LowbitError } from '../errors';
import { refKey } from '../graph/edit';
import type { DenseTensor, Graph, Sample, SignatureEntry, TensorRef } from '../graph/ir';
import { toModelArtifacts } from '../graph/write-graph-model';
import type { Range } from '../quantization/affine';
import { MinMaxObserver } from './observers/min-max';
import type { Observer } from './observers/observer';
import { PercentileObserver } from './observers/percentile';
import type { SampleSource } from './source';

export interface CalibrationOptions {
  /** Default `percentile`. */
  method?: 'percentile' | 'minmax';
  /** Share of values to keep between zero and either bound, in percent. Default 99.99. */
  percentile?: number;
  /** How many samples to use at most. Default 128. */
  samples?: number;
  onProgress?(done: number, total: number): void;
  signal?: AbortSignal;
}

/** Where an artefact's scales come from. */
export interface CalibrationProvenance {
  readonly method: string;
  /** Samples seen. */
  readonly samples: number;
  /** SHA-256 of names, shapes and data of all samples seen, in order. */
  readonly sha256: string;
  /** What computed the float activations, for example `tfjs 4.22.0 wasm`. */
  readonly runtime: string;
}

export interface Calibration {
  /** Range of every observed tensor, by `node:index`. */
  readonly ranges: ReadonlyMap<string, Range>;
  readonly provenance: CalibrationProvenance;
}

const DEFAULT_SAMPLES = 128;
const DEFAULT_PERCENTILE = 99.99;

function isBackendMissing(error: unknown): boolean {
  return (
    (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND' ||
    (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND'
  );
}

/** Imports the WebAssembly backend, or else the plain JavaScript one. */
async function importBackend(): Promise<'wasm' | 'cpu'> {
  try {
    await import('@tensorflow/tfjs-backend-wasm');
    return 'wasm';
  } catch (error) {
    if (!isBackendMissing(error)) throw error;
  }
  try {
    await import('@tensorflow/tfjs-backend-cpu');
    return 'cpu';
  } catch (error) {
    if (!isBackendMissing(error)) throw error;
    throw new LowbitError(
      'unsupported-backend',
      'Calibration runs the float model in TF.js and needs a backend: npm install @tensorflow/tfjs-backend-wasm.',
      { cause: error },
    );
  }
}

/** Runs something on a backend and gives the user's own back afterwards. */
async function withBackend<T>(name: string, body: () => Promise<T>): Promise<T> {
  const previous = tf.getBackend();
  if (!(await tf.setBackend(name))) {
    throw new LowbitError('unsupported-backend', `The TF.js backend '${name}' could not be initialized.`);
  }
  try {
    return await body();
  } finally {
    if (previous && previous !== name) await tf.setBackend(previous);
  }
}

function checkSample(sample: Sample, inputs: readonly SignatureEntry[], index: number): void {
  for (const input of inputs) {
    const tensor = sample[input.name];
    const what = `Calibration sample ${index}, input '${input.name}'`;
    if (!tensor) throw new LowbitError('invalid-shape', `${what}: it is missing.`);
    const { shape, values, dtype } = tensor;
    const fits =
      !input.shape ||
      (input.shape.length === shape.length && input.shape.every((d, i) => d < 0 || d === shape[i]));
    if (!fits) {
      throw new LowbitError(
        'invalid-shape',
        `${what}: expected shape [${input.shape}] but found [${shape}].`,
      );
    }
    if (dtype !== input.dtype) {
      throw new LowbitError('invalid-argument', `${what}: expected ${input.dtype} data but found ${dtype}.`);
    }
    if (values.length !== shape.reduce((p, d) => p * d, 1)) {
      throw new LowbitError(
        'invalid-shape',
        `${what}: ${values.length} values do not fill shape [${shape}].`,
      );
    }
    if (values.some((v) => !Number.isFinite(v))) {
      throw new LowbitError('invalid-range', `${what}: it has values that are not finite numbers.`);
    }
  }
}

function addToHash(hash: Hash, name: string, { shape, values }: DenseTensor): void {
  hash.update(`${name}\0${shape.join()}\0`);
  hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

/** Samples in a batch: the first dimension of the first input that has a dynamic one. */
function samplesIn(sample: Sample, inputs: readonly SignatureEntry[]): number {
  const batched = inputs.find((i) => i.shape?.[0] === -1);
  return batched ? sample[batched.name].shape[0] : 1;
}

/** A float graph loaded into TF.js on the current backend. */
class FloatModel {
  private constructor(private readonly model: Awaited<ReturnType<typeof loadGraphModel>>) {}

  static async load(graph: Graph): Promise<FloatModel> {
    return new FloatModel(await loadGraphModel(tf.io.fromMemory(toModelArtifacts(graph))));
  }

  /** Runs one sample and hands every asked tensor to `visit`. */
  async run(
    sample: Sample,
    inputs: readonly SignatureEntry[],
    refs: readonly TensorRef[],
    visit: (ref: TensorRef, tensor: tf.Tensor) => void,
  ): Promise<void> {
    const feeds = Object.fromEntries(
      inputs.map(({ name, ref, dtype }) => {
        const { values, shape } = sample[name];
        return [refKey(ref), tf.tensor(values, [...shape], dtype)];
      }),
    );
    let results: tf.Tensor[] = [];
    try {
      results = await this.execute(feeds, refs.map(refKey));
      results.forEach((tensor, i) => {
        visit(refs[i], tensor);
      });
    } finally {
      tf.dispose([...results, ...Object.values(feeds)]);
    }
  }

  private async execute(feeds: Record<string, tf.Tensor>, names: string[]): Promise<tf.Tensor[]> {
    const asList = (r: tf.Tensor | tf.Tensor[]) => (Array.isArray(r) ? r : [r]);
    try {
      return asList(this.model.execute(feeds, names));
    } catch (error) {
      if (!String((error as Error).message).includes('executeAsync')) throw error;
      return asList(await this.model.executeAsync(feeds, names));
    }
  }

  dispose(): void {
    this.model.dispose();
  }
}

function observe(observer: Observer, graph: Graph, ref: TensorRef, tensor: tf.Tensor): void {
  const values = tensor.dataSync() as Float32Array;
  const bad = values.findIndex((v) => !Number.isFinite(v));
  if (bad >= 0) {
    const { op } = graph.nodes.get(ref.node)!;
    throw new LowbitError(
      'invalid-range',
      `${op} '${ref.node}' computes ${values[bad]} (element ${bad}) on the calibration data; check the model and the data.`,
    );
  }
  observer.observe(values);
}

async function observeAll(
  graph: Graph,
  refs: readonly TensorRef[],
  source: SampleSource,
  options: CalibrationOptions,
) {
  const { method = 'percentile', percentile = DEFAULT_PERCENTILE, samples = DEFAULT_SAMPLES } = options;
  const observers = new Map<string, Observer>(
    refs.map((ref) => [
      refKey(ref),
      method === 'minmax' ? new MinMaxObserver() : new PercentileObserver(percentile),
    ]),
  );
  const hash = createHash('sha256');
  const model = await FloatModel.load(graph);
  let seen = 0;
  try {
    for await (const sample of source(graph.inputs)) {
      if (options.signal?.aborted) throw new LowbitError('cancelled', 'Calibration was cancelled.');
      checkSample(sample, graph.inputs, seen);
      for (const { name } of graph.inputs) addToHash(hash, name, sample[name]);
      await model.run(sample, graph.inputs, refs, (ref, tensor) =>
        observe(observers.get(refKey(ref))!, graph, ref, tensor),
      );
      seen += samplesIn(sample, graph.inputs);
      options.onProgress?.(Math.min(seen, samples), samples);
      if (seen >= samples) break;
    }
  } finally {
    model.dispose();
  }
  if (seen === 0)
    throw new LowbitError('invalid-argument', 'The calibration data is empty; give at least one sample.');
  const ranges = new Map([...observers].map(([key, observer]) => [key, observer.range()!]));
  return { ranges, seen, sha256: hash.digest('hex') };
}

/**
 * Observes tensors of a float graph on calibration data.
 *
 * @param graph the optimized float graph
 * @param refs float32 tensors to observe
 * @param source yields samples one at a time
 * @throws LowbitError 'invalid-range' naming the node whose values are NaN or infinite; 'invalid-shape' or
 *   'invalid-argument' for data that does not fit the inputs; 'cancelled' on abort
 */
export async function calibrate(
  graph: Graph,
  refs: readonly TensorRef[],
  source: SampleSource,
  options: CalibrationOptions = {},
): Promise<Calibration> {
  const backend = await importBackend();
  const { ranges, seen, sha256 } = await withBackend(backend, () => observeAll(graph, refs, source, options));
  const { method = 'percentile', percentile = DEFAULT_PERCENTILE } = options;
  return {
    ranges,
    provenance: {
      method: method === 'percentile' ? `percentile ${percentile}` : method,
      samples: seen,
      sha256,
      runtime: `tfjs ${tf.version_core} ${backend}`,
    },
  };
}
