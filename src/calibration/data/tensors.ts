/** Calibration data that is in TF.js tensors already. */
import * as tf from '@tensorflow/tfjs-core';
import { LowbitError } from '../../base/errors';
import type { DenseTensor, Sample } from '../../graph/ir';
import type { InputSpec, SampleSource } from '../../graph/samples';

/** What a model is called on: one tensor, or one for each input, in order or by name. */
export type ModelInput = tf.Tensor | tf.Tensor[] | tf.NamedTensorMap;

type Batches = Iterable<ModelInput | Sample> | AsyncIterable<ModelInput | Sample>;

/** Samples, or batches of them; a function gets the model's inputs. */
export type TensorData = tf.Tensor | Batches | ((inputs: readonly InputSpec[]) => Batches);

function isSample(value: ModelInput | Sample): value is Sample {
  if (value instanceof tf.Tensor || Array.isArray(value)) return false;
  const entries = Object.values(value);
  return entries.length > 0 && entries.every((entry) => !(entry instanceof tf.Tensor) && 'values' in entry);
}

/**
 * The tensor of each input, by its name.
 *
 * @throws LowbitError 'invalid-argument' where tensors do not match the inputs
 */
export function byName(value: ModelInput, names: readonly string[]): tf.NamedTensorMap {
  const tensors = value instanceof tf.Tensor ? [value] : value;
  const map = Array.isArray(tensors)
    ? Object.fromEntries(tensors.map((tensor, i) => [names[i] ?? `input ${i}`, tensor]))
    : tensors;
  const given = Object.keys(map);
  if (given.length === names.length && names.every((name) => map[name] instanceof tf.Tensor)) return map;
  throw new LowbitError(
    'invalid-argument',
    `Expected tensors for the inputs ${names.map((n) => `'${n}'`).join(', ')} but received ` +
      `${given.length === 0 ? 'none' : given.map((n) => `'${n}'`).join(', ')}.`,
  );
}

/** Reads a tensor; one without the batch dimension is a batch of one, and whole numbers do for real ones. */
async function read(tensor: tf.Tensor, { dtype, shape }: InputSpec): Promise<DenseTensor> {
  const values = (await tensor.data()) as DenseTensor['values'];
  const whole = shape !== undefined && tensor.rank === shape.length - 1 ? [1, ...tensor.shape] : tensor.shape;
  return dtype === 'float32' && tensor.dtype !== 'float32'
    ? { dtype, shape: whole, values: Float32Array.from(values) }
    : { dtype: tensor.dtype as DenseTensor['dtype'], shape: whole, values };
}

/** One sample at a time out of a batch, so that calibration needs the memory of one. */
function* rows(batch: Sample, inputs: readonly InputSpec[]): Generator<Sample> {
  const open = inputs.filter(({ shape }) => shape?.[0] === -1);
  const count = open.length > 0 ? batch[open[0].name].shape[0] : 1;
  if (open.some(({ name }) => batch[name].shape[0] !== count)) {
    throw new LowbitError(
      'invalid-shape',
      'The calibration data has batches of different sizes in one sample.',
    );
  }
  const row = (tensor: DenseTensor, i: number): DenseTensor => {
    const size = tensor.values.length / count;
    return {
      ...tensor,
      shape: [1, ...tensor.shape.slice(1)],
      values: tensor.values.subarray(i * size, (i + 1) * size),
    };
  };
  for (let i = 0; i < count; i++) {
    const entries = inputs.map(({ name }) => [
      name,
      open.some((input) => input.name === name) ? row(batch[name], i) : batch[name],
    ]);
    yield Object.fromEntries(entries);
  }
}

/** Samples out of tensors, which stay the caller's: a generator may dispose what it yielded when it goes on. */
export function tensorSamples(data: TensorData): SampleSource {
  return async function* (inputs) {
    const names = inputs.map(({ name }) => name);
    const batches = data instanceof tf.Tensor ? [data] : typeof data === 'function' ? data(inputs) : data;
    for await (const batch of batches) {
      if (isSample(batch)) {
        yield batch;
        continue;
      }
      const tensors = byName(batch, names);
      const entries = inputs.map(
        async (input) => [input.name, await read(tensors[input.name], input)] as const,
      );
      yield* rows(Object.fromEntries(await Promise.all(entries)), inputs);
    }
  };
}
