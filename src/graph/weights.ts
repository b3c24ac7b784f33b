/** Weights as TF.js stores them: manifest entries and bytes. */
import { LowbitError } from '../base/errors';
import { fromFloat16Bits } from '../base/float16';
import { joinBytes } from '../base/join-bytes';
import type { Constant, DType } from './ir';
import { isRecord } from './json';
import { piecesOf, rememberForm, STORED_BYTES } from './stored-constants';

type StoredDType = 'uint8' | 'uint16' | 'float16';

/** An entry of a weights manifest. */
export interface WeightSpec {
  name: string;
  dtype: DType;
  shape: number[];
  elements: number;
  quantization?: { dtype: StoredDType; scale: number; min: number };
}

const BYTES: Readonly<Record<DType | StoredDType, number>> = {
  float32: 4,
  int32: 4,
  bool: 1,
  complex64: 8,
  uint8: 1,
  uint16: 2,
  float16: 2,
  /** The length prefix, the least that a string takes. */
  string: 4,
};

/** Bytes of an element of a weight in its shards; of a string, the least. */
export function storedElementBytes({
  dtype,
  quantization,
}: Pick<WeightSpec, 'dtype'> & { quantization?: { dtype: StoredDType } }): number {
  return BYTES[quantization?.dtype ?? dtype];
}

/** Bytes of the values of a constant, which are not looked at; of strings, the least. */
export function constantBytes({ dtype, shape }: Pick<Constant, 'dtype' | 'shape'>): number {
  return shape.reduce((product, d) => product * d, BYTES[dtype]);
}

function invalid(message: string): LowbitError {
  return new LowbitError('invalid-weights', message);
}

function parseQuantization(name: string, dtype: DType, value: unknown): WeightSpec['quantization'] {
  if (value === undefined) return undefined;
  if (!isRecord(value)) throw invalid(`Weight '${name}': expected an object for quantization.`);
  const stored = value.dtype;
  if (stored === 'float16') {
    if (dtype !== 'float32')
      throw invalid(`Weight '${name}': float16 storage needs dtype float32, not ${dtype}.`);
    return { dtype: stored, scale: 1, min: 0 };
  }
  if (stored !== 'uint8' && stored !== 'uint16') {
    throw invalid(
      `Weight '${name}': expected uint8, uint16 or float16 quantization but found '${String(stored)}'.`,
    );
  }
  if (dtype !== 'float32' && dtype !== 'int32') {
    throw invalid(`Weight '${name}': ${stored} storage needs dtype float32 or int32, not ${dtype}.`);
  }
  const { scale, min } = value;
  if (
    typeof scale !== 'number' ||
    typeof min !== 'number' ||
    !Number.isFinite(scale) ||
    !Number.isFinite(min)
  ) {
    throw invalid(`Weight '${name}': ${stored} storage needs finite numbers for scale and min.`);
  }
  return { dtype: stored, scale, min };
}

export function parseSpec(entry: unknown): WeightSpec {
  if (!isRecord(entry) || typeof entry.name !== 'string' || entry.name === '') {
    throw invalid('The weights manifest has an entry without a name.');
  }
  const { name, dtype, shape } = entry;
  if (
    dtype !== 'float32' &&
    dtype !== 'int32' &&
    dtype !== 'bool' &&
    dtype !== 'string' &&
    dtype !== 'complex64'
  ) {
    throw invalid(
      `Weight '${name}': expected dtype float32, int32, bool, string or complex64 but found '${String(dtype)}'.`,
    );
  }
  if (!Array.isArray(shape) || !shape.every((d) => Number.isSafeInteger(d) && d >= 0)) {
    throw invalid(
      `Weight '${name}': expected a shape of non-negative integers but found ${JSON.stringify(shape)}.`,
    );
  }
  const elements = shape.reduce((product: number, d: number) => product * d, 1);
  if (!Number.isSafeInteger(elements)) {
    throw invalid(`Weight '${name}': its shape [${shape}] multiplies past 2^53.`);
  }
  if (elements === 0 && dtype === 'float32') {
    throw invalid(`Weight '${name}': its shape [${shape}] has a dimension of size zero.`);
  }
  return { name, dtype, shape, elements, quantization: parseQuantization(name, dtype, entry.quantization) };
}

/** Weights that are in memory already, laid end to end in parts. */
class MemoryReader implements WeightReader {
  private index = 0;
  private position = 0;
  remaining: number;

  constructor(private readonly parts: readonly Uint8Array[]) {
    this.remaining = parts.reduce((sum, part) => sum + part.length, 0);
  }

  /** A copy only of what lies across parts, or where numbers of 4 bytes cannot. */
  async read(bytes: number): Promise<Uint8Array> {
    if (bytes > this.remaining)
      throw invalid(`The weights are truncated: ${bytes - this.remaining} bytes are missing.`);
    this.remaining -= bytes;
    while (this.position === this.parts[this.index]?.length) this.nextPart();
    const part = this.parts[this.index] ?? new Uint8Array();
    const whole = part.subarray(this.position, this.position + bytes);
    if (whole.length === bytes && whole.byteOffset % 4 === 0) {
      this.position += bytes;
      return whole;
    }
    const result = new Uint8Array(bytes);
    for (let filled = 0; filled < bytes; ) {
      const piece = this.parts[this.index].subarray(this.position, this.position + bytes - filled);
      result.set(piece, filled);
      filled += piece.length;
      this.position += piece.length;
      if (filled < bytes) this.nextPart();
    }
    return result;
  }

  private nextPart(): void {
    this.index++;
    this.position = 0;
  }
}

/** Sequential reads of weights that lie end to end. */
export interface WeightReader {
  readonly remaining: number;
  read(bytes: number): Promise<Uint8Array>;
}

/** One string after the other, each after its length (uint32); kept as they are stored. */
async function readStrings(reader: WeightReader, spec: WeightSpec): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let i = 0; i < spec.elements; i++) {
    const prefix = await reader.read(4);
    const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(0, true);
    if (length > reader.remaining) {
      throw invalid(
        `Weight '${spec.name}': string ${i} says it has ${length} bytes, ${reader.remaining} are left.`,
      );
    }
    parts.push(prefix, await reader.read(length));
  }
  return joinBytes(parts);
}

/** What each half-precision number is; made when it is first asked for. */
let halves: Float32Array | undefined;

function float16Table(): Float32Array {
  if (halves) return halves;
  halves = Float32Array.from({ length: 2 ** 16 }, (_, code) => fromFloat16Bits(code));
  return halves;
}

/** What each code of a quantized weight is. */
function codeTable({ dtype, quantization }: WeightSpec): Float32Array | Int32Array {
  const { dtype: stored, scale, min } = quantization!;
  if (stored === 'float16') return float16Table();
  const table =
    dtype === 'float32' ? new Float32Array(256 ** BYTES[stored]) : new Int32Array(256 ** BYTES[stored]);
  const whole = dtype === 'int32';
  for (let code = 0; code < table.length; code++) {
    const value = code * scale + min;
    table[code] = whole ? Math.round(value) : value;
  }
  return table;
}

/** By a table: one look-up a weight. A table of 2^16 numbers is not worth it for a few. */
function dequantize(spec: WeightSpec, bytes: Uint8Array): Float32Array | Int32Array {
  const { dtype, scale, min } = spec.quantization!;
  const codes = dtype === 'uint8' ? bytes : new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const { length } = codes;
  const values = spec.dtype === 'float32' ? new Float32Array(length) : new Int32Array(length);
  if (dtype === 'uint16' && length < 2 ** 16) {
    const whole = spec.dtype === 'int32';
    for (let i = 0; i < values.length; i++) {
      const value = codes[i] * scale + min;
      values[i] = whole ? Math.round(value) : value;
    }
    return values;
  }
  const table = codeTable(spec);
  for (let i = 0; i < values.length; i++) values[i] = table[codes[i]];
  return values;
}

/** The values of stored bytes. */
export function decode(spec: WeightSpec, bytes: Uint8Array): Constant['values'] {
  if (spec.quantization) return dequantize(spec, bytes);
  const { buffer, byteOffset, length } = bytes;
  if (spec.dtype === 'float32') return new Float32Array(buffer, byteOffset, length / 4);
  if (spec.dtype === 'int32') return new Int32Array(buffer, byteOffset, length / 4);
  return bytes;
}

/** What was found out of constants: whether some of their values are infinite or NaN. */
const infinitely = new WeakMap<Constant, boolean>();

function hasInfinite(constant: Constant): boolean {
  if (constant.dtype !== 'float32') return false;
  for (const { values } of piecesOf(constant))
    for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return true;
  return false;
}

/** Whether a weight has values that are infinite or NaN. */
export function isInfinite(constant: Constant): boolean {
  const known = infinitely.get(constant) ?? hasInfinite(constant);
  infinitely.set(constant, known);
  return known;
}

/** A constant, and how to get its bytes as they are stored. */
export interface Entry {
  readonly constant: Constant;
  bytes(): Uint8Array;
}

export async function readEntry(spec: WeightSpec, reader: WeightReader): Promise<Entry> {
  const length = spec.elements * storedElementBytes(spec);
  const bytes = spec.dtype === 'string' ? await readStrings(reader, spec) : await reader.read(length);
  const values = spec.dtype === 'string' ? bytes : decode(spec, bytes);
  return { constant: { dtype: spec.dtype, shape: spec.shape, values }, bytes: () => bytes };
}

/** Remembers that it was stored in fewer bits than its values have. */
export function addEntry(
  constants: Map<string, Constant>,
  spec: WeightSpec,
  { constant, bytes }: Entry,
): void {
  if (constants.has(spec.name))
    throw invalid(`Weight '${spec.name}' is listed twice in the weights manifest.`);
  constants.set(spec.name, constant);
  const { quantization, elements } = spec;
  if (!quantization || quantization.dtype === 'float16') return;
  const { dtype, scale, min } = quantization;
  rememberForm(constant, { quantization: { dtype, scale, min }, length: elements * BYTES[dtype], bytes });
}

/** Whether a weight stays in its file until it is used. */
export function staysInFile(spec: WeightSpec): boolean {
  return spec.dtype !== 'string' && spec.dtype !== 'complex64' && constantBytes(spec) >= STORED_BYTES;
}

/**
 * Decodes weights that are in memory, as TF.js hands them over.
 *
 * @param specs their manifest entries, in order
 * @param parts laid end to end; float32 and int32 weights stay in them, where they can
 * @throws LowbitError 'invalid-weights' naming the weight and what was expected
 */
export async function decodeWeights(
  specs: unknown,
  parts: readonly Uint8Array[],
): Promise<Map<string, Constant>> {
  if (!Array.isArray(specs)) throw invalid('Expected a list of weights in the weight specs.');
  const constants = new Map<string, Constant>();
  const reader = new MemoryReader(parts);
  for (const each of specs) {
    const spec = parseSpec(each);
    addEntry(constants, spec, await readEntry(spec, reader));
  }
  if (reader.remaining > 0)
    throw invalid(`The weights are ${reader.remaining} bytes longer than their specs say.`);
  return constants;
}
