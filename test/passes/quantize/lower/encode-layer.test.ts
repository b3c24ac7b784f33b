import { type LinearOp, readLinearOp } from '../../../../src/passes/linear-op';
import {
  encodeLayer,
  rotatedWeights,
  rotationHelps,
  statisticsOf,
} from '../../../../src/passes/quantize/lower/encode-layer';
import { decodeMatrix } from '../../../../src/quantization/formats/decode';
import { rotateRowsBack } from '../../../../src/quantization/hadamard';
import { signalToNoise } from '../../../../src/quantization/metrics';
import { observedKey } from '../../../../src/quantization/observations';
import { FloatGraph } from '../../../support/float-graph';
import { randomOf } from '../../../support/random';

const random = randomOf('encode-layer', 0);
const DEPTH = 128;
const rotation = { block: 128, seed: 1 };
const format = { format: 'uniform4' as const, group: 0 };

/** x [1, 128] . w [128, 8] */
function layer(weight: (i: number) => number): LinearOp {
  const values = Float32Array.from({ length: DEPTH * 8 }, (_, i) => weight(i));
  const graph = new FloatGraph(random)
    .input('x', [1, DEPTH])
    .constant('w', [DEPTH, 8], values)
    .node('y', 'MatMul', ['x', 'w'])
    .build('y');
  return readLinearOp(graph, graph.nodes.get('y')!) as LinearOp;
}

const plain = layer(() => random.real(-1, 1));
/** One large weight a row takes most of its codes. */
const outliers = layer((i) => (i < 8 ? 20 : random.real(-1, 1)));

test('the fidelity is that of the decoded weights', () => {
  const { matrix, signalToNoise: decibels } = encodeLayer(plain, format, {});
  expect(matrix).toMatchObject({ rows: 8, depth: DEPTH });
  expect(decibels).toBeCloseTo(signalToNoise(rotatedWeights(plain, undefined), decodeMatrix(matrix)), 6);
  expect(decibels).toBeGreaterThan(18);
});

test('a rotation spreads outliers over the row', () => {
  expect(rotationHelps(outliers, { ...format, rotation })).toBe(true);
  const [without, with_] = [
    encodeLayer(outliers, format, {}),
    encodeLayer(outliers, { ...format, rotation }, {}),
  ];
  expect(with_.signalToNoise).toBeGreaterThan(without.signalToNoise + 3);
  expect(with_.rotation).toEqual(rotation);
  const back = rotateRowsBack(rotatedWeights(outliers, rotation), 8, DEPTH, rotation);
  back.forEach((value, i) => {
    expect(value).toBeCloseTo(rotatedWeights(outliers, undefined)[i], 4);
  });
});

test('inputs of large mean squares cost less error than others', () => {
  const meanSquares = Float64Array.from({ length: DEPTH }, (_, k) => (k < 8 ? 1000 : 0.001));
  const weights = rotatedWeights(plain, undefined);
  const error = (statistics: Parameters<typeof encodeLayer>[2]) => {
    const decoded = decodeMatrix(encodeLayer(plain, format, statistics).matrix);
    return weights.reduce((sum, w, i) => sum + meanSquares[i % DEPTH] * (w - decoded[i]) ** 2, 0);
  };
  expect(error({ meanSquares })).toBeLessThan(error({}));
  expect(error({ meanSquares: new Float64Array(DEPTH) })).toBe(error({}));
});

test('the mean squares of a layer are those of its input as it is rotated', () => {
  const observed = { ranges: new Map(), means: new Map() };
  const rotated = Float64Array.of(1);
  const meanSquares = new Map([[observedKey({ ref: plain.input, rotation }), rotated]]);
  expect(statisticsOf(plain, rotation, { ...observed, meanSquares }).meanSquares).toBe(rotated);
  expect(statisticsOf(plain, undefined, { ...observed, meanSquares }).meanSquares).toBeUndefined();
});
