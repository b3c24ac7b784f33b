/**
 * The bytes of an expert, from which native code computes as they are.
 *
 * ```
 * for each of the matrices up [hidden, width], gate [hidden, width] where there is one, down [width, hidden]:
 *   uint32 format (WeightFormat), rows, depth, group, 1 with a bias or 0, float32 unit, 8 bytes 0, int8[16] levels, 16 bytes 0
 *   codes    as in a LowBitMatrix; of int8 weights [rows, depth] bytes, code + 128
 *   scales   as in a LowBitMatrix; of int8 weights float32, one a row
 *   bias     float32, one a row
 * ```
 * little-endian, each part from a multiple of 64 bytes on.
 */
import { checkArgument } from '../../base/errors';
import { type ExpertShape, WeightFormat } from '../../program/program';
import { encodeMatrix } from '../../quantization/formats/encode';
import type { WeightsName } from '../../quantization/layer-weights';

export { EXPERT_ACTIVATIONS, type ExpertActivation } from '../../program/program';

export type ExpertLayout = ExpertShape;

export interface ExpertMatrix {
  /** [outputs, inputs], row-major. */
  readonly values: Float32Array;
  /** [outputs]. */
  readonly bias?: Float32Array;
}

export interface ExpertWeights {
  readonly up: ExpertMatrix;
  readonly gate?: ExpertMatrix;
  readonly down: ExpertMatrix;
}

export interface ExpertFormat {
  readonly format: WeightsName;
  /** Inputs that share a scale, in the low-bit formats. */
  readonly group?: number;
}

const PART_BYTES = 64;
const MAX_CODE = 127;

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

interface Stored {
  format: WeightFormat;
  group: number;
  unit: number;
  levels: Int8Array;
  codes: Uint8Array;
  scales: Uint8Array;
}

function storeInt8(values: Float32Array, rows: number, depth: number): Stored {
  const codes = new Uint8Array(rows * depth);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const from = values.subarray(row * depth, (row + 1) * depth);
    let largest = 0;
    for (const value of from) largest = Math.max(largest, Math.abs(value));
    scales[row] = largest > 0 ? largest / MAX_CODE : 1;
    for (let k = 0; k < depth; k++) codes[row * depth + k] = Math.round(from[k] / scales[row]) + 128;
  }
  return {
    format: WeightFormat.Int8,
    group: 0,
    unit: 1,
    levels: new Int8Array(16),
    codes,
    scales: bytesOf(scales),
  };
}

function store(values: Float32Array, rows: number, depth: number, { format, group }: ExpertFormat): Stored {
  if (format === 'int8') return storeInt8(values, rows, depth);
  const matrix = encodeMatrix(format, values, rows, depth, { group });
  return { ...matrix, format: matrix.storage, scales: bytesOf(matrix.scales) };
}

function matrixParts(
  name: string,
  { values, bias }: ExpertMatrix,
  rows: number,
  depth: number,
  format: ExpertFormat,
): Uint8Array[] {
  checkArgument(values.length === rows * depth, name, `${rows} x ${depth} numbers`, values.length);
  checkArgument(values.every(Number.isFinite), name, 'finite numbers', 'others');
  checkArgument(
    bias === undefined || bias.length === rows,
    `the bias of ${name}`,
    `${rows} numbers`,
    bias?.length,
  );
  const stored = store(values, rows, depth, format);
  const header = new DataView(new ArrayBuffer(PART_BYTES));
  [stored.format, rows, depth, stored.group, bias ? 1 : 0].forEach((word, i) => {
    header.setUint32(4 * i, word, true);
  });
  header.setFloat32(20, stored.unit, true);
  new Int8Array(header.buffer, 32).set(stored.levels);
  return [bytesOf(header), stored.codes, stored.scales, ...(bias ? [bytesOf(bias)] : [])];
}

/**
 * The bytes of an expert.
 *
 * @throws LowbitError 'invalid-argument' for matrices that do not fit the layout or are not finite
 */
export function packExpert(layout: ExpertLayout, weights: ExpertWeights, format: ExpertFormat): Uint8Array {
  const { width, hidden, gated } = layout;
  checkArgument(gated === (weights.gate !== undefined), 'gate', gated ? 'a matrix' : 'none', weights.gate);
  const parts = [
    ...matrixParts('up', weights.up, hidden, width, format),
    ...(weights.gate ? matrixParts('gate', weights.gate, hidden, width, format) : []),
    ...matrixParts('down', weights.down, width, hidden, format),
  ];
  const aligned = (bytes: number) => Math.ceil(bytes / PART_BYTES) * PART_BYTES;
  const all = new Uint8Array(parts.reduce((sum, part) => sum + aligned(part.length), 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += aligned(part.length);
  }
  return all;
}
