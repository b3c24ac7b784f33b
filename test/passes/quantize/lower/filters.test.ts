import {
  appendConstant,
  appendInt8Filter,
  appendInt16Filter,
  appendLowBitFilter,
} from '../../../../src/passes/quantize/lower/filters';
import { WeightFormat, WeightsBuilder } from '../../../../src/program/program';
import { encodeMatrix } from '../../../../src/quantization/formats/encode';
import { builderOf, valuesOf } from '../../../support/program-of';

const bytesOf = (weights: WeightsBuilder) => weights.build().buffer;

test('an INT8 filter is codes, scales and bias where its offsets say', () => {
  const weights = new WeightsBuilder();
  const codes = Int8Array.of(1, -127, 3, 127, 5);
  const scales = Float32Array.of(0.5, 0.25);
  const ref = appendInt8Filter(weights, { codes, scales }, Int32Array.of(7, -9));
  const bytes = bytesOf(weights);
  expect(ref.format).toBe(WeightFormat.Int8);
  expect(new Int8Array(bytes, ref.filterOffset, 5)).toEqual(codes);
  expect(new Float32Array(bytes, ref.scaleOffset, 2)).toEqual(scales);
  expect(new Int32Array(bytes, ref.biasOffset, 2)).toEqual(Int32Array.of(7, -9));
  expect(appendInt8Filter(weights, { codes, scales }).biasOffset).toBeUndefined();
});

test('an int16 filter has codes of two bytes and a float32 bias', () => {
  const weights = new WeightsBuilder();
  const codes = Int16Array.of(1, -300, 20000);
  const scales = Float32Array.of(2);
  const ref = appendInt16Filter(weights, { codes, scales }, () => 0, Float32Array.of(0.75));
  const bytes = bytesOf(weights);
  expect(new Int16Array(bytes, ref.filterOffset, 3)).toEqual(codes);
  expect(new Float32Array(bytes, ref.biasOffset, 1)).toEqual(Float32Array.of(0.75));
  expect(ref.format).toBe(WeightFormat.Int16);
});

test('an int16 filter whose channels fit 8 bits has codes of one byte and zero points', () => {
  const weights = new WeightsBuilder();
  const codes = Int16Array.of(1, 1000, -128, 1255, 127, 1003);
  const scales = Float32Array.of(2, 3);
  const ref = appendInt16Filter(weights, { codes, scales }, (i) => i % 2, Float32Array.of(0.75, 1));
  if (ref.format !== WeightFormat.OffsetInt8) throw new Error(`format ${ref.format}`);
  const bytes = bytesOf(weights);
  const stored = new Int8Array(bytes, ref.filterOffset, 6);
  const zeroPoints = new Int16Array(bytes, ref.zeroPointOffset, 2);
  expect(Array.from(stored, (code, i) => code - zeroPoints[i % 2])).toEqual([...codes]);
  expect(new Float32Array(bytes, ref.scaleOffset, 2)).toEqual(scales);
});

test('a low-bit filter keeps the matrix as it was encoded', () => {
  const values = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
  const matrix = encodeMatrix('uniform4', values, 2, 32, { group: 32 });
  const weights = new WeightsBuilder();
  const ref = appendLowBitFilter(weights, matrix, undefined);
  const bytes = bytesOf(weights);
  expect(new Uint8Array(bytes, ref.filterOffset, matrix.codes.length)).toEqual(matrix.codes);
  expect(new Uint16Array(bytes, ref.scaleOffset, matrix.scales.length)).toEqual(matrix.scales);
  expect(new Int8Array(bytes, ref.levelsOffset, 16)).toEqual(matrix.levels);
  expect(ref).toMatchObject({ group: 32, unit: matrix.unit, format: WeightFormat.Codebook4 });
});

test('a constant is codes in the range of its values', () => {
  const builder = builderOf({});
  const values = Float32Array.of(-1, 0, 0.5, 2);
  const id = appendConstant(builder, 'c', { dtype: 'float32', shape: [2, 2], values });
  const { scale, zeroPoint } = builder.paramsOf(id);
  const [codes] = [valuesOf(builder, [])[id]];
  expect(scale).toBeCloseTo(3 / 255, 6);
  codes.forEach((code, i) => {
    expect(Math.abs((code - zeroPoint) * scale - values[i])).toBeLessThanOrEqual(scale / 2);
  });
});
