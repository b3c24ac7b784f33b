/** Raw binary files of records of one size, for example CIFAR-10's, as samples. */
import { type FileHandle, open } from 'node:fs/promises';
import { checkArgument, LowbitError } from '../../base/errors';
import { fromFloat16Bits } from '../../base/float16';
import { readAt } from '../../base/read-at';
import type { DenseTensor } from '../../graph/ir';
import {
  type InputSpec,
  type LabelledSample,
  type LabelledSource,
  type SampleSource,
  withoutLabels,
} from '../../graph/samples';

type Read = (view: DataView, offset: number) => number;

/** Numbers as a record stores them, little-endian: bytes of one, and how it is read. */
const NUMBERS = {
  uint8: [1, (view, at) => view.getUint8(at)],
  int8: [1, (view, at) => view.getInt8(at)],
  uint16: [2, (view, at) => view.getUint16(at, true)],
  int16: [2, (view, at) => view.getInt16(at, true)],
  int32: [4, (view, at) => view.getInt32(at, true)],
  float16: [2, (view, at) => fromFloat16Bits(view.getUint16(at, true))],
  float32: [4, (view, at) => view.getFloat32(at, true)],
  float64: [8, (view, at) => view.getFloat64(at, true)],
} as const satisfies Record<string, readonly [number, Read]>;

export type RecordDType = keyof typeof NUMBERS;

export const RECORD_DTYPES = Object.keys(NUMBERS) as RecordDType[];

/** How a record lies in its file: bytes that are skipped, then a label, then the numbers of the sample. */
export interface RecordLayout {
  /** Bytes before the label. Default 0. */
  skip?: number;
  /** Bytes of the label, an unsigned little-endian integer: 0 (none, the default) to 4. */
  label?: number;
  /** Added to a label to get the model's class: 1 where class 0 is a background class. Default 0. */
  labelOffset?: number;
  /** How numbers are stored, little-endian. Default `uint8`. */
  dtype?: RecordDType;
  /** Shape of a sample as the model takes it, without the batch. Default: the model's own. */
  shape?: readonly number[];
  /** `hwc`: numbers lie as the model takes them; `chw`: one plane a channel (the last axis) after the other. Default `hwc`. */
  layout?: 'hwc' | 'chw';
  /** Subtracted from the numbers, one or one per channel. Default 0. */
  mean?: number | readonly number[];
  /** Divided by, after the mean. Default 1. */
  std?: number | readonly number[];
}

const MAX_LABEL_BYTES = 4;

const elements = (shape: readonly number[]) => shape.reduce((product, dim) => product * dim, 1);

function perChannel(name: string, value: number | readonly number[], channels: number): readonly number[] {
  const values = typeof value === 'number' ? [value] : value;
  const fits = (values.length === 1 || values.length === channels) && values.every(Number.isFinite);
  checkArgument(fits, name, `one number or one for each of ${channels} channels`, value);
  return Array.from({ length: channels }, (_, c) => values[values.length === 1 ? 0 : c]);
}

function sampleShape(path: string, layout: RecordLayout, input: InputSpec): readonly number[] {
  const expected = input.shape?.slice(1);
  const shape = layout.shape ?? expected;
  const known =
    shape !== undefined && shape.length > 0 && shape.every((dim) => Number.isInteger(dim) && dim > 0);
  if (!known) {
    throw new LowbitError(
      'invalid-shape',
      `${path}: input '${input.name}' is [${input.shape ?? 'unknown'}]; give the shape of a record, such as shape=32x32x3.`,
    );
  }
  const fits =
    expected === undefined ||
    (expected.length === shape.length && expected.every((dim, i) => dim === -1 || dim === shape[i]));
  if (fits) return shape;
  throw new LowbitError(
    'invalid-shape',
    `${path}: records of shape [${shape}] do not fit input '${input.name}' of shape [${input.shape}] (-1: any).`,
  );
}

/** Turns the bytes of a record into what a model takes. */
class RecordDecoder {
  readonly bytes: number;
  private readonly shape: readonly number[];
  private readonly start: number;
  private readonly labelAt: number;
  private readonly labelBytes: number;
  private readonly labelOffset: number;
  private readonly dtype: RecordDType;
  private readonly planar: boolean;
  private readonly mean: readonly number[];
  private readonly std: readonly number[];

  constructor(
    private readonly path: string,
    layout: RecordLayout,
    private readonly input: InputSpec,
  ) {
    const { skip = 0, label = 0, dtype = 'uint8', layout: order = 'hwc', mean = 0, std = 1 } = layout;
    checkArgument(Number.isInteger(skip) && skip >= 0, 'skip', 'a number of bytes', skip);
    const wide = Number.isInteger(label) && label >= 0 && label <= MAX_LABEL_BYTES;
    checkArgument(wide, 'label', `0 to ${MAX_LABEL_BYTES} bytes`, label);
    checkArgument(RECORD_DTYPES.includes(dtype), 'dtype', RECORD_DTYPES.join(', '), dtype);
    checkArgument(order === 'hwc' || order === 'chw', 'layout', "'hwc' or 'chw'", order);
    if (input.dtype !== 'float32' && input.dtype !== 'int32') {
      throw new LowbitError(
        'invalid-argument',
        `Input '${input.name}' takes ${input.dtype}, which records cannot give.`,
      );
    }
    this.shape = sampleShape(path, layout, input);
    const channels = this.shape[this.shape.length - 1];
    this.mean = perChannel('mean', mean, channels);
    this.std = perChannel('std', std, channels);
    checkArgument(!this.std.includes(0), 'std', 'numbers other than 0', std);
    this.dtype = dtype;
    this.planar = order === 'chw';
    this.labelAt = skip;
    this.labelBytes = label;
    this.labelOffset = layout.labelOffset ?? 0;
    this.start = skip + label;
    this.bytes = this.start + elements(this.shape) * NUMBERS[dtype][0];
  }

  /** What a record is made of, for messages. */
  get description(): string {
    return `${this.bytes} bytes (${this.start} before ${this.dtype} of shape [${this.shape}])`;
  }

  decode(record: Uint8Array, index: number): LabelledSample {
    const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
    const { shape, input, labelBytes } = this;
    const [width, read] = NUMBERS[this.dtype];
    const count = elements(shape);
    const channels = this.mean.length;
    const pixels = count / channels;
    const values = input.dtype === 'int32' ? new Int32Array(count) : new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const channel = i % channels;
      const at = this.planar ? channel * pixels + (i - channel) / channels : i;
      const value = read(view, this.start + at * width);
      if (!Number.isFinite(value)) {
        throw new LowbitError(
          'invalid-range',
          `${this.path}: record ${index} has ${value} at its number ${at}.`,
        );
      }
      values[i] = (value - this.mean[channel]) / this.std[channel];
    }
    const dtype = input.dtype as 'float32' | 'int32';
    const tensor: DenseTensor = { dtype, shape: [1, ...shape], values };
    const sample = { [input.name]: tensor };
    if (labelBytes === 0) return { sample };
    let label = 0;
    for (let i = labelBytes - 1; i >= 0; i--) label = label * 256 + record[this.labelAt + i];
    return { sample, label: label + this.labelOffset };
  }
}

async function checkSize(path: string, file: FileHandle, decoder: RecordDecoder): Promise<number> {
  const { size } = await file.stat();
  if (size > 0 && size % decoder.bytes === 0) return size / decoder.bytes;
  throw new LowbitError(
    'io',
    `${path} has ${size} bytes, which is no whole number of records of ${decoder.description}; check the layout of its records.`,
  );
}

/**
 * The records of a raw binary file with their labels. One record at a time is in memory.
 *
 * @returns a source for models with one input, float32 or int32
 * @throws LowbitError (while iterating) 'invalid-argument' for a wrong layout, 'io' for a file that is no whole number of
 *   records, 'invalid-shape' where they do not fit the model, 'invalid-range' for a number that is not finite
 *
 * @example
 * // CIFAR-10, binary version: a label, then planes of red, green and blue.
 * labelledRecords('data_batch_1.bin', { label: 1, layout: 'chw', mean: 127.5, std: 127.5 });
 */
export function labelledRecords(path: string, layout: RecordLayout = {}): LabelledSource {
  return async function* (inputs) {
    if (inputs.length !== 1) {
      throw new LowbitError(
        'invalid-argument',
        `${path} holds records for one input, but the model has ${inputs.length}.`,
      );
    }
    const decoder = new RecordDecoder(path, layout, inputs[0]);
    let file: FileHandle;
    try {
      file = await open(path);
    } catch (cause) {
      throw new LowbitError('io', `Cannot read ${path}: ${(cause as Error).message}`, { cause });
    }
    try {
      const count = await checkSize(path, file, decoder);
      for (let i = 0; i < count; i++) {
        yield decoder.decode(await readAt(file, i * decoder.bytes, decoder.bytes), i);
      }
    } finally {
      await file.close();
    }
  };
}

/** The records of a raw binary file without their labels; see `labelledRecords`. */
export function records(path: string, layout: RecordLayout = {}): SampleSource {
  return withoutLabels(labelledRecords(path, layout));
}
