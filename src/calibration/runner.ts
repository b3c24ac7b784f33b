/** Calibration: runs the float graph on sample data in TF.js and observes the range of tensors. */
import * as tf from '@tensorflow/tfjs-core';
import { throwIfCancelled } from '../base/cancelled';
import { LowbitError } from '../base/errors';
import { Sha256 } from '../base/sha256';
import { refKey } from '../graph/edit';
import {
  type DenseTensor,
  type Graph,
  type GraphNode,
  isStrings,
  type Sample,
  type SignatureEntry,
} from '../graph/ir';
import type { SampleSource } from '../graph/samples';
import { copiesKey } from '../graph/turns';
import type { Range } from '../quantization/affine';
import { rotateRows } from '../quantization/hadamard';
import { type Observations, type ObservedTensor, observedKey } from '../quantization/observations';
import { importBackend, withBackend } from '../tfjs/backends';
import { runSamples } from '../tfjs/run-samples';
import { withoutInfinities } from './infinities';
import { boundsOf } from './observers/bounds';
import { ChannelMeanObserver } from './observers/channel-mean';
import { GridObserver } from './observers/grid';
import { type CalibrationMethod, DEFAULT_METHOD, newObserver, observerBy } from './observers/methods';
import type { Observer } from './observers/observer';

export interface CalibrationOptions {
  /** How ranges follow from the observed values. Default `mse`. */
  method?: CalibrationMethod;
  /** The method for the result of a node; undefined: `method`. */
  methodOf?(node: string): CalibrationMethod | undefined;
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
  /** Tensors with a method of their own, by node; absent where there is none. */
  readonly methods?: Readonly<Record<string, CalibrationMethod>>;
  /** Samples seen. */
  readonly samples: number;
  /** SHA-256 of names, shapes and data of all samples seen, in order. */
  readonly sha256: string;
  /** The samples were random numbers. */
  readonly random?: true;
  /** What computed the float activations, for example `tfjs 4.22.0 wasm`. */
  readonly runtime: string;
}

export interface Calibration extends Observations {
  readonly provenance: CalibrationProvenance;
  /** What other methods make of the same values; undefined where these have to be seen again. */
  by(options: Methods): Calibration | undefined;
}

type Methods = Pick<CalibrationOptions, 'method' | 'methodOf' | 'percentile'>;

type Settings = CalibrationOptions & Required<Pick<CalibrationOptions, 'method' | 'percentile' | 'samples'>>;

function withDefaults(options: CalibrationOptions): Settings {
  return { method: DEFAULT_METHOD, percentile: 99.99, samples: 128, ...defined(options) };
}

/** Options without those that were given as undefined. */
function defined(options: CalibrationOptions): CalibrationOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function checkSample(sample: Sample, inputs: readonly SignatureEntry[], index: number): void {
  for (const input of inputs) {
    const tensor = sample[input.name];
    if (!tensor && input.optional) continue;
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
    const wrong = isStrings(tensor) ? -1 : values.findIndex((v) => !Number.isFinite(v));
    if (wrong >= 0) {
      throw new LowbitError(
        'invalid-range',
        `${what}: value ${wrong} is ${values[wrong]}; expected finite numbers.`,
      );
    }
  }
}

function addToHash(hash: Sha256, name: string, tensor: DenseTensor): void {
  const { shape, values } = tensor;
  hash.update(`${name}\0${shape.join()}\0`);
  if (isStrings(tensor)) hash.update(JSON.stringify(values));
  else hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

/** Samples in a batch: the first dimension of the first input that has a dynamic one. */
function samplesIn(sample: Sample, inputs: readonly SignatureEntry[]): number {
  const batched = inputs.find((i) => i.shape?.[0] === -1 && sample[i.name]);
  return batched ? sample[batched.name].shape[0] : 1;
}

function firstNaN(values: Float32Array): number {
  for (let i = 0; i < values.length; i++) if (Number.isNaN(values[i])) return i;
  return -1;
}

function methodOf(node: string, settings: Settings): CalibrationMethod {
  return settings.methodOf?.(node) ?? settings.method;
}

/** The observers of one tensor, as it is or rotated. */
class TensorWatch {
  /** From the first tensor on, which tells how many channels there are. */
  mean?: ChannelMeanObserver;
  readonly grid?: GridObserver;

  constructor(
    private readonly node: GraphNode,
    readonly tensor: ObservedTensor,
    private readonly method: CalibrationMethod,
    private readonly observer: Observer,
  ) {
    if (node.op === 'Placeholder' && !tensor.rotation) this.grid = new GridObserver();
  }

  observe(tensor: tf.Tensor): void {
    const found = this.valuesOf(tensor);
    const foundBounds = boundsOf(found);
    const values = withoutInfinities(found, foundBounds);
    const bounds = values === found ? foundBounds : boundsOf(values);
    const wrong = firstNaN(values);
    if (wrong >= 0) {
      throw new LowbitError(
        'invalid-range',
        `${this.node.op} '${this.node.name}' computes NaN (element ${wrong}) on the calibration data; check the model and the data.`,
      );
    }
    this.observer.observe(values, bounds);
    const channels = tensor.shape.at(-1) ?? 0;
    if (this.tensor.means && channels > 0) this.mean ??= new ChannelMeanObserver(channels);
    this.mean?.observe(values);
    this.grid?.observe(values);
  }

  /** @returns undefined where the values have to be seen again */
  rangeBy(method: CalibrationMethod, percentile: number): Range | undefined {
    const known = method === this.method ? this.observer : observerBy(method, percentile, this.observer);
    return known?.range();
  }

  private valuesOf(tensor: tf.Tensor): Float32Array {
    const values = tensor.dataSync() as Float32Array;
    const { rotation } = this.tensor;
    const depth = tensor.shape.at(-1) ?? 1;
    return rotation && depth > 0 ? rotateRows(values, values.length / depth, depth, rotation) : values;
  }
}

async function observeAll(
  graph: Graph,
  tensors: readonly ObservedTensor[],
  source: SampleSource,
  options: Settings,
) {
  // The turns of a loop are observed as one tensor: what they read and write has the same scale in all of them.
  const watches = new Map<string, TensorWatch>();
  const watchOf = (tensor: ObservedTensor): TensorWatch => {
    const { node, index } = tensor.ref;
    const key = observedKey({ ...tensor, ref: { node: copiesKey(graph, tensor.ref), index } });
    const method = methodOf(node, options);
    const watch =
      watches.get(key) ??
      new TensorWatch(graph.nodes.get(node)!, tensor, method, newObserver(method, options.percentile));
    watches.set(key, watch);
    return watch;
  };
  const observed = tensors.map((tensor) => ({ tensor, key: observedKey(tensor), watch: watchOf(tensor) }));
  const refs = [...new Map(tensors.map(({ ref }) => [refKey(ref), ref])).values()];
  const watching = refs.map((ref) => observed.filter(({ tensor }) => refKey(tensor.ref) === refKey(ref)));
  const hash = new Sha256();
  let seen = 0;
  const checked = async function* () {
    for await (const sample of source(graph.inputs)) {
      checkSample(sample, graph.inputs, seen);
      for (const { name } of graph.inputs) if (sample[name]) addToHash(hash, name, sample[name]);
      yield sample;
      seen += samplesIn(sample, graph.inputs);
      options.onProgress?.(Math.min(seen, options.samples), options.samples);
      if (seen >= options.samples) break;
    }
  };
  const observe = (tensor: tf.Tensor, i: number) => {
    for (const { watch } of watching[i]) watch.observe(tensor);
  };
  if (refs.length > 0) await runSamples(graph, checked(), refs, observe, options.signal);
  else for await (const _ of checked()) throwIfCancelled(options.signal);
  if (seen === 0)
    throw new LowbitError('invalid-argument', 'The calibration data is empty; give at least one sample.');
  const rangesBy = (methods: Settings) => {
    const chosen = new Map<TensorWatch, Range>();
    for (const watch of watches.values()) {
      const range = watch.rangeBy(methodOf(watch.tensor.ref.node, methods), methods.percentile);
      if (!range) return undefined;
      chosen.set(watch, range);
    }
    return new Map(observed.map(({ key, watch }) => [key, graph.ranges?.get(key) ?? chosen.get(watch)!]));
  };
  /** What watches found, for each of the tensors that they watch. */
  const each = <T>(find: (watch: TensorWatch, tensor: ObservedTensor) => T | undefined): Map<string, T> =>
    new Map(
      observed.flatMap(({ tensor, key, watch }) => {
        const found = find(watch, tensor);
        return found === undefined ? [] : [[key, found] as const];
      }),
    );
  const means = each(({ mean }) => mean?.means());
  const meanSquares = each(({ mean }, { squares }) => (squares ? mean?.meanSquares() : undefined));
  const grids = each(({ grid }) => grid?.grid());
  return { rangesBy, means, meanSquares, grids, seen, sha256: hash.digest(), backend: tf.getBackend() };
}

function ownMethods(
  tensors: readonly ObservedTensor[],
  { method, methodOf }: Settings,
): Pick<CalibrationProvenance, 'methods'> {
  const own = tensors.flatMap(({ ref }) => {
    const chosen = methodOf?.(ref.node);
    return chosen === undefined || chosen === method ? [] : [[ref.node, chosen] as const];
  });
  return own.length > 0 ? { methods: Object.fromEntries(own) } : {};
}

/**
 * Observes tensors of a float graph on calibration data. Ranges that the graph itself gives go before observed ones.
 *
 * @param graph the optimized float graph
 * @param tensors float32 tensors to observe
 * @param source yields samples one at a time
 * @throws LowbitError 'invalid-range' naming the node whose values are NaN; 'invalid-shape' or
 *   'invalid-argument' for data that does not fit the inputs; 'cancelled' on abort
 */
export async function calibrate(
  graph: Graph,
  tensors: readonly ObservedTensor[],
  source: SampleSource,
  options: CalibrationOptions = {},
): Promise<Calibration> {
  const settings = withDefaults(options);
  const { rangesBy, means, meanSquares, grids, seen, sha256, backend } = await withBackend(
    await importBackend(),
    () => observeAll(graph, tensors, source, settings),
  );
  const by = (methods: Settings): Calibration | undefined => {
    const ranges = rangesBy(methods);
    const { method, percentile } = methods;
    return (
      ranges && {
        ranges,
        means,
        meanSquares,
        grids: new Map([...grids].filter(([key]) => !graph.ranges?.has(key))),
        provenance: {
          method: method === 'percentile' ? `percentile ${percentile}` : method,
          ...ownMethods(tensors, methods),
          samples: seen,
          sha256,
          runtime: `tfjs ${tf.version_core} ${backend}`,
        },
        by: (others) => by(withDefaults({ ...settings, ...others })),
      }
    );
  };
  return by(settings)!;
}
