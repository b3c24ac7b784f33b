/** Rows far smaller than the largest weight of their matrix, as dead channels are once batch normalization is folded. */
import { decodeMatrix } from '../../../src/quantization/formats/decode';
import { encodeMatrix } from '../../../src/quantization/formats/encode';
import { FORMATS } from '../../../src/quantization/formats/registry';
import { signalToNoise } from '../../../src/quantization/metrics';
import { randomOf } from '../../support/random';

const DEPTH = 128;
const SCALES = [1, 1e-3, 1e-6, 1e-9, 1e-12, 1e-15];

function rowsOf(label: string): Float32Array[] {
  const random = randomOf(label, 0);
  return SCALES.map((scale) => Float32Array.from({ length: DEPTH }, () => scale * random.real(-1, 1)));
}

function join(rows: readonly Float32Array[]): Float32Array {
  const values = new Float32Array(rows.length * DEPTH);
  rows.forEach((row, i) => {
    values.set(row, i * DEPTH);
  });
  return values;
}

describe.each(FORMATS)('%s', (name) => {
  test.each([0, 64])('a row decodes as well beside larger ones as alone, in groups of %d', (group) => {
    const rows = rowsOf(`small rows ${name}`);
    const decoded = decodeMatrix(encodeMatrix(name, join(rows), rows.length, DEPTH, { group }));
    for (const [i, row] of rows.entries()) {
      const beside = signalToNoise(row, decoded.subarray(i * DEPTH, (i + 1) * DEPTH));
      const alone = signalToNoise(row, decodeMatrix(encodeMatrix(name, row, 1, DEPTH, { group })));
      expect(Math.abs(beside - alone)).toBeLessThan(0.1);
    }
  });

  // A trellis weighs the errors of a row together: those of a group of 1e-12 are lost beside the others'.
  test('so does a small group of a row', () => {
    const [large, , smaller, , least] = rowsOf(`small groups ${name}`);
    const small = name === 'trellis2' ? smaller : least;
    const row = Float32Array.from(large, (value, k) => (k < 64 ? value : small[k]));
    const decoded = decodeMatrix(encodeMatrix(name, row, 1, DEPTH, { group: 64 }));
    expect(signalToNoise(row.subarray(64), decoded.subarray(64))).toBeGreaterThan(8);
  });

  test('and a row that is rounded with error feedback', () => {
    const rows = rowsOf(`fed back ${name}`);
    const hessian = Float64Array.from({ length: DEPTH ** 2 }, (_, i) => (i % (DEPTH + 1) === 0 ? 1 : 0.1));
    const options = { group: 64, hessian };
    const decoded = decodeMatrix(encodeMatrix(name, join(rows), rows.length, DEPTH, options));
    for (const [i, row] of rows.entries()) {
      expect(signalToNoise(row, decoded.subarray(i * DEPTH, (i + 1) * DEPTH))).toBeGreaterThan(6);
    }
  });
});
