/** Where the time of a prediction goes: every layer of the native programs against the limits of the machine. */

import { yieldToCancel } from '../base/cancelled';
import {
  decodeProgram,
  type FilterRef,
  filterRowBytes,
  type Op,
  OpKind,
  type Program,
  TensorType,
} from '../program/program';
import { groupsOf } from '../quantization/formats/format';
import type { CompiledProgram, MachineLimits, MemoryBytes } from '../runtime/engine';
import { onNativeRun } from '../runtime/run-timer';

export interface LayerProfile {
  readonly name: string;
  readonly op: string;
  /** Of the result; -1 for a dimension, other than the batch, that is known at run time only. */
  readonly shape: readonly number[];
  /** Mean of a prediction; 0 for an op that runs as part of another one, whose time has it. */
  readonly milliseconds: number;
  readonly macs: number;
  /** Weights and activations, each read or written once. */
  readonly bytes: number;
  readonly macsPerSecond: number;
  readonly percentOfPeak: number;
  /** The least time that the machine allows: max(macs / peak, bytes / bandwidth), in milliseconds. */
  readonly limit: number;
  /** milliseconds - limit */
  readonly lost: number;
}

export interface Profile {
  /** What the machine can do at most, with this instruction set and number of threads. */
  readonly limits: MachineLimits;
  /** Most time lost first. */
  readonly layers: readonly LayerProfile[];
  /** Means of a prediction, in milliseconds: the layers together; the calls into native code; all of it. */
  readonly layersMilliseconds: number;
  readonly nativeMilliseconds: number;
  readonly milliseconds: number;
  readonly macs: number;
  /** Native memory of the programs that ran. */
  readonly memory: MemoryBytes;
  /** Of the whole prediction: macs / milliseconds against the peak. */
  readonly percentOfPeak: number;
}

/** More than this cannot come from the caches of most machines. */
const FROM_MEMORY_BYTES = 32 * 1024 * 1024;

const ELEMENT_BYTES: Readonly<Record<TensorType, number>> = {
  [TensorType.Float32]: 4,
  [TensorType.Int8]: 1,
  [TensorType.Int16]: 2,
  [TensorType.Int32]: 4,
  [TensorType.DynamicInt8]: 1,
};

/** Bias and multiplier of an output channel. */
const CHANNEL_BYTES = 8;

/** The scale of a group of low-bit weights. */
const HALF_BYTES = 2;

/** Bytes of the weights of an output channel, with the scales of its groups if it has any. */
function rowBytes(filter: FilterRef, weights: number): number {
  const groups = 'group' in filter ? groupsOf({ depth: weights, group: filter.group }) : 0;
  return filterRowBytes(filter.format, weights) + groups * HALF_BYTES;
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * Math.max(size, 1), 1);
}

/** Multiply-accumulates for one element of the result, and bytes of weights. */
function weightsOf(op: Op): { macs: number; bytes: number } {
  const channelBytes = (filter: FilterRef, weights: number) => rowBytes(filter, weights) + CHANNEL_BYTES;
  switch (op.kind) {
    case OpKind.Conv2D: {
      const [height, width] = op.window.kernel;
      const macs = (height * width * op.inChannels) / op.groups;
      return { macs, bytes: op.outChannels * channelBytes(op.filter, macs) };
    }
    case OpKind.DepthwiseConv2D: {
      const [height, width] = op.window.kernel;
      const macs = height * width;
      return { macs, bytes: op.channels * op.multiplier * channelBytes(op.filter, macs) };
    }
    case OpKind.Linear:
    case OpKind.LinearFloat:
      return { macs: op.inFeatures, bytes: op.outFeatures * channelBytes(op.filter, op.inFeatures) };
    default:
      return { macs: 0, bytes: 0 };
  }
}

function layerOf(
  op: Op,
  { tensors }: Program,
  batch: number,
  milliseconds: number,
  limits: MachineLimits,
): LayerProfile {
  const shapeOf = (id: number) =>
    tensors[id].shape.map((size, axis) => (axis === 0 && size < 0 ? batch : size));
  const weights = weightsOf(op);
  const macs = weights.macs * elements(shapeOf(op.output));
  const activations = [...op.inputs, op.output].map(
    (id) => elements(shapeOf(id)) * ELEMENT_BYTES[tensors[id].type],
  );
  const bytes = activations.reduce((sum, size) => sum + size, weights.bytes);
  const bandwidth = bytes > FROM_MEMORY_BYTES ? limits.dramBytes : limits.l2Bytes;
  const limit = 1000 * Math.max(macs / limits.macs, bytes / bandwidth);
  const macsPerSecond = milliseconds > 0 ? (1000 * macs) / milliseconds : 0;
  return {
    name: op.name,
    op: OpKind[op.kind],
    shape: shapeOf(op.output),
    milliseconds,
    macs,
    bytes,
    macsPerSecond,
    percentOfPeak: (100 * macsPerSecond) / limits.macs,
    limit: milliseconds > 0 ? limit : 0,
    lost: milliseconds > 0 ? milliseconds - limit : 0,
  };
}

export interface ProfileOptions {
  /** How many predictions. */
  runs: number;
  /** Samples in one. */
  batch: number;
  /** Measured with the same number of threads. */
  limits: MachineLimits;
  signal?: AbortSignal;
}

/**
 * Profiles predictions.
 *
 * @param predict runs the model once; may return a promise
 * @throws LowbitError 'cancelled' on abort
 */
export async function profilePredictions(
  predict: () => unknown,
  { runs, batch, limits, signal }: ProfileOptions,
): Promise<Profile> {
  const programs = new Set<CompiledProgram>();
  let native = 0;
  let total = 0;
  onNativeRun(
    (_, milliseconds) => {
      native += milliseconds;
    },
    (program) => {
      if (!programs.has(program)) program.startProfile();
      programs.add(program);
    },
  );
  try {
    for (let run = 0; run < runs; run++) {
      await yieldToCancel(signal);
      const start = performance.now();
      await predict();
      total += performance.now() - start;
    }
  } finally {
    onNativeRun();
  }
  const layers = [...programs].flatMap((program) => {
    const decoded = decodeProgram(program.words);
    const { opNanoseconds } = program.endProfile();
    return decoded.ops.map((op, i) => layerOf(op, decoded, batch, opNanoseconds[i] / runs / 1e6, limits));
  });
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const macs = sum(layers.map((layer) => layer.macs));
  const milliseconds = total / runs;
  const memory = [...programs].map(({ memoryBytes }) => memoryBytes);
  return {
    limits,
    layers: layers.sort((a, b) => b.lost - a.lost),
    layersMilliseconds: sum(layers.map((layer) => layer.milliseconds)),
    nativeMilliseconds: native / runs,
    milliseconds,
    macs,
    memory: {
      weights: sum(memory.map(({ weights }) => weights)),
      arena: sum(memory.map(({ arena }) => arena)),
      withoutReuse: sum(memory.map(({ withoutReuse }) => withoutReuse)),
    },
    percentOfPeak: (100 * ((1000 * macs) / milliseconds)) / limits.macs,
  };
}
