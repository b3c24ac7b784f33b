/**
 * The quantized program: the narrow waist between the transformer and the engines.
 *
 * A program is a list of ops over numbered tensors, plus a blob of weights. It is encoded as little-endian 32-bit
 * words, so that it travels through a TF.js weight manifest as an `int32` tensor. Floats are stored by their bits.
 *
 * ```
 * header   magic 'LBPQ', format version, total words, tensors, ops, inputs, outputs, 0
 * inputs   tensor ids          outputs  tensor ids
 * tensor   dtype, rank, scale, zero point, granularity, dims[rank]    (dim -1: known only when the program is planned)
 * op       kind, record words, name bytes, name..., input count, ids..., output count, ids..., parameter words...
 * ```
 * The parameters of every op are in schema.ts. Up to format version 4, tensor records have no word for granularity: that
 * of dynamic codes lies in the word of the zero point.
 *
 * Shapes of tensors follow from the shapes of the inputs; a dim that is not -1 is a promise that the engine checks.
 * Activations are NHWC. Real value of an int8 code: (code - zeroPoint) * scale; an int16 tensor has its scales with it, one
 * of dynamic int8 codes its scales and zero points. Conv2D, DepthwiseConv2D (multiplier 1) and Linear take an int16 input
 * with int16 weights, or a dynamic one with int8 weights and a float32 bias, to a float32 output. Arithmetic,
 * Prelu, pools, resizing, Concat and what moves elements take float32 inputs to a float32 output as well.
 */
import { LowbitError } from '../base/errors';
import {
  GRANULARITY_VERSION,
  type Granularity,
  type OpParameters,
  PROGRAM_FORMAT_VERSION,
  PROGRAM_MAGIC,
  readParameters,
  TensorType,
  writeParameters,
} from './generated';
import { WordReader, WordWriter } from './words';

export * from './generated';
export { type WeightPart, WeightsBuilder } from './weights-builder';

export interface TensorSpec {
  type: TensorType;
  /** -1 for a dimension that is known only when the program is planned (the batch, usually). */
  shape: readonly number[];
  /** Real units per step; 1 for float32. */
  scale: number;
  /** In [-128, 127]; 0 for float32 and dynamic int8 codes. */
  zeroPoint: number;
  /** Of dynamic int8 codes. */
  granularity?: Granularity;
}

interface OpBase {
  /** Name of the source node, for messages. */
  name: string;
  inputs: readonly number[];
  output: number;
}

export type Op = OpBase & OpParameters;

export interface Program {
  tensors: TensorSpec[];
  ops: Op[];
  inputs: number[];
  outputs: number[];
}

const HEADER_WORDS = 8;

/** Encodes a program as the 32-bit words that `Engine.compile` takes and an artefact stores. */
export function encodeProgram({ tensors, ops, inputs, outputs }: Program): Int32Array {
  const body = new WordWriter();
  for (const id of [...inputs, ...outputs]) body.int(id);
  for (const { type, shape, scale, zeroPoint, granularity = 0 } of tensors) {
    body.int(type);
    body.int(shape.length);
    body.float(scale);
    body.int(zeroPoint);
    body.int(granularity);
    for (const dim of shape) body.int(dim);
  }
  for (const op of ops) {
    const record = new WordWriter();
    record.text(op.name);
    record.ints(op.inputs);
    record.ints([op.output]);
    writeParameters(record, op);
    body.int(op.kind);
    body.int(record.words.length + 2);
    body.words.push(...record.words);
  }
  const counts = [tensors.length, ops.length, inputs.length, outputs.length];
  const words = HEADER_WORDS + body.words.length;
  return Int32Array.from([PROGRAM_MAGIC, PROGRAM_FORMAT_VERSION, words, ...counts, 0, ...body.words]);
}

function readTensor(from: WordReader, version: number): TensorSpec {
  const [type, rank]: [TensorType, number] = [from.int(), from.int()];
  const scale = from.float();
  const dynamic = type === TensorType.DynamicInt8;
  let zeroPoint = from.int();
  let granularity: Granularity = 0;
  if (version >= GRANULARITY_VERSION) {
    granularity = from.int();
  } else if (dynamic) {
    [granularity, zeroPoint] = [zeroPoint, 0];
  }
  const shape = from.times(rank, () => from.int());
  return { type, shape, scale, zeroPoint, ...(dynamic ? { granularity } : {}) };
}

function readOp(from: WordReader): Op {
  const [kind, words] = [from.int(), from.int()];
  const record = from.part(words - 2);
  const name = record.text();
  const inputs = record.ints();
  const outputs = record.ints();
  if (outputs.length !== 1) throw from.unknown('number of outputs of an op', outputs.length);
  const op: Op = { name, inputs, output: outputs[0], ...readParameters(record, kind) };
  if (record.left > 0) throw from.unknown('number of words too many of an op', record.left);
  return op;
}

/**
 * Takes an encoded program of this or an earlier format version apart. Numbers and offsets are not checked: that is the
 * engine's part.
 *
 * @throws LowbitError 'invalid-program', or 'unsupported-version' for one of a later version
 */
export function decodeProgram(words: Int32Array): Program {
  const from = new WordReader(words);
  if (words.length < HEADER_WORDS || from.int() !== PROGRAM_MAGIC) {
    throw new LowbitError('invalid-program', 'This is not a quantized program.');
  }
  const version = from.int();
  if (version > PROGRAM_FORMAT_VERSION) {
    throw new LowbitError(
      'unsupported-version',
      `The program has format version ${version}, expected at most ${PROGRAM_FORMAT_VERSION}; install a newer tfjs-lowbit.`,
    );
  }
  const [, tensorCount, opCount, inputCount, outputCount] = from.times(6, () => from.int());
  return {
    inputs: from.times(inputCount, () => from.int()),
    outputs: from.times(outputCount, () => from.int()),
    tensors: from.times(tensorCount, () => readTensor(from, version)),
    ops: from.times(opCount, () => readOp(from)),
  };
}
