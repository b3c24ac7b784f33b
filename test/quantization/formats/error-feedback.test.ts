import { gaussian } from '../../../src/quantization/distributions';
import { decodeMatrix } from '../../../src/quantization/formats/decode';
import { encodeMatrix } from '../../../src/quantization/formats/encode';
import { factorise } from '../../../src/quantization/formats/error-feedback';
import { FORMATS } from '../../../src/quantization/formats/registry';
import { normalisedError } from '../../../src/quantization/metrics';

/** The mean of x x^T for inputs that are mixtures of a few sources, of different sizes. */
function hessianOf(depth: number, seed: number): Float64Array {
  const sources = Math.ceil(depth / 4);
  const mixture = gaussian(depth * sources, seed);
  const sizes = gaussian(depth, seed + 1).map((size) => Math.exp(0.7 * size));
  return Float64Array.from({ length: depth * depth }, (_, at) => {
    const [i, j] = [Math.floor(at / depth), at % depth];
    let sum = i === j ? 1 : 0;
    for (let s = 0; s < sources; s++)
      sum += (mixture[i * sources + s] * mixture[j * sources + s]) / (1 + s / 8);
    return sizes[i] * sizes[j] * sum;
  });
}

/** Sum over the rows of (w - q) H (w - q)^T. */
function outputError(
  values: Float32Array,
  decoded: Float32Array,
  hessian: Float64Array,
  depth: number,
): number {
  let error = 0;
  for (let start = 0; start < values.length; start += depth) {
    const difference = Float64Array.from({ length: depth }, (_, k) => values[start + k] - decoded[start + k]);
    for (let i = 0; i < depth; i++) {
      for (let j = 0; j < depth; j++) error += difference[i] * hessian[i * depth + j] * difference[j];
    }
  }
  return error;
}

test('factorises the damped hessian', () => {
  const depth = 20;
  const hessian = hessianOf(depth, 1);
  const { unit, diagonal } = factorise(hessian, depth);
  const v = (i: number, j: number) => (i === j ? 1 : i < j ? unit[i * depth + j] : 0);
  let trace = 0;
  for (let i = 0; i < depth; i++) trace += hessian[i * depth + i];
  for (let i = 0; i < depth; i++) {
    for (let j = 0; j < depth; j++) {
      const product = diagonal.reduce((sum, d, k) => sum + v(i, k) * d * v(j, k), 0);
      const damped = hessian[i * depth + j] + (i === j ? (0.01 * trace) / depth : 0);
      expect(product).toBeCloseTo(damped, 8);
    }
  }
});

test.each(FORMATS)('leaves less than half of the error of the outputs: %s', (name) => {
  const [rows, depth] = [16, 256];
  const values = gaussian(rows * depth, 2);
  const hessian = hessianOf(depth, 3);
  const importance = Float64Array.from({ length: depth }, (_, k) => hessian[k * depth + k]);
  const error = (options: { importance?: Float64Array; hessian?: Float64Array }) =>
    outputError(values, decodeMatrix(encodeMatrix(name, values, rows, depth, options)), hessian, depth);
  expect(error({ hessian })).toBeLessThan(0.5 * error({ importance }));
});

test.each(FORMATS)('changes nothing where inputs do not depend on each other: %s', (name) => {
  const [rows, depth] = [4, 300];
  const values = gaussian(rows * depth, 5);
  const hessian = Float64Array.from({ length: depth * depth }, (_, at) => (at % (depth + 1) === 0 ? 2 : 0));
  const plain = encodeMatrix(name, values, rows, depth);
  const fed = encodeMatrix(name, values, rows, depth, { hessian });
  if (name !== 'trellis2') expect(fed).toEqual(plain);
  else {
    // The trellis chooses its codes once more for the scales it had come to.
    const error = normalisedError(values, decodeMatrix(plain));
    expect(Math.abs(normalisedError(values, decodeMatrix(fed)) / error - 1)).toBeLessThan(0.005);
  }
});

test.each(FORMATS)('ends with the best scales for its codes: %s', (name) => {
  const depth = 96;
  const values = gaussian(depth, 7);
  const hessian = hessianOf(depth, 8);
  let trace = 0;
  for (let k = 0; k < depth; k++) trace += hessian[k * (depth + 1)];
  const damped = hessian.map((value, at) => value + (at % (depth + 1) === 0 ? (0.01 * trace) / depth : 0));
  const matrix = encodeMatrix(name, values, 1, depth, { hessian, group: 32 });
  const error = (scales: Uint16Array) =>
    outputError(values, decodeMatrix({ ...matrix, scales }), damped, depth);
  const least = error(matrix.scales);
  for (let g = 0; g < 3; g++) {
    // A float16 has steps of 2^-10 to 2^-11 of it; three either way are off by more than rounding.
    for (const change of [-3, 3]) {
      expect(error(matrix.scales.map((bits, i) => (i === g ? bits + change : bits)))).toBeGreaterThan(least);
    }
  }
});

test('inputs that calibration never saw do no harm', () => {
  const values = gaussian(2 * 64, 6);
  const hessian = new Float64Array(64 * 64);
  const decoded = decodeMatrix(encodeMatrix('uniform4', values, 2, 64, { hessian }));
  expect(normalisedError(values, decoded)).toBeLessThan(0.02);
});

test('refuses what is no hessian', () => {
  const values = new Float32Array(2);
  const encode = (hessian: Float64Array) => () => encodeMatrix('int4', values, 1, 2, { hessian });
  expect(encode(new Float64Array(3))).toThrow('Expected 4 for the length of hessian but received 3.');
  expect(encode(Float64Array.of(1, 0, 0, Number.NaN))).toThrow(
    'Expected a finite number of at least 0 for the trace of hessian but received NaN.',
  );
  expect(encode(Float64Array.of(1, 5, 5, 1))).toThrow(
    'Expected a positive semidefinite hessian but its pivot of input 0 is',
  );
});
