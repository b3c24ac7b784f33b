import { appendInput } from '../../../../src/passes/quantize/lower/input';
import type { WeightOptions } from '../../../../src/passes/quantize/lower/weight-options';
import {
  type LayerWeights,
  quantizeDynamicWeights,
  quantizeInt16Weights,
  quantizeWeights,
} from '../../../../src/passes/quantize/lower/weights';
import type { FilterCodes } from '../../../../src/quantization/affine';
import { quantizeFilter } from '../../../../src/quantization/affine';
import type { Observations } from '../../../../src/quantization/observations';
import { builderOf, ref } from '../../../support/program-of';
import { randomOf } from '../../../support/random';

const random = randomOf('weights', 0);
const [ROWS, DEPTH] = [3, 8];
const values = Float32Array.from({ length: ROWS * DEPTH }, () => random.real(-1, 1));
const row = (i: number) => Math.floor(i / DEPTH);

const layer: LayerWeights = {
  node: 'layer',
  input: ref('x'),
  values: () => values,
  channels: ROWS,
  outputChannel: row,
  inputChannel: (i) => i % DEPTH,
  bias: Float32Array.of(0.5, -1, 2),
};

function builder(observed: Partial<Observations> = {}, options: WeightOptions = {}) {
  const ranges = new Map([['x:0', { min: -1, max: 1 }]]);
  const built = builderOf({ x: { shape: [1, DEPTH] } }, { ranges, ...observed }, options);
  appendInput(built, ref('x'), true);
  return built;
}

const numbers = (built: ReturnType<typeof builder>, offset: number | undefined, floats: boolean) => {
  const bytes = built.weights.build().buffer;
  return Array.from(floats ? new Float32Array(bytes, offset, ROWS) : new Int32Array(bytes, offset, ROWS));
};

test('INT8 weights have an int32 bias at scale_in * scale_w', () => {
  const built = builder();
  const filter = quantizeWeights(layer, built);
  const { scale } = built.paramsOf(built.read(ref('x')));
  const scales = numbers(built, filter.scaleOffset, true);
  numbers(built, filter.biasOffset, false).forEach((code, c) => {
    expect(Math.abs(code * scale * scales[c] - layer.bias![c])).toBeLessThanOrEqual((scale * scales[c]) / 2);
  });
  expect(built.weightFidelity.get('layer')).toBeGreaterThan(35);
});

test.each([
  ['int16', quantizeInt16Weights, 80],
  ['dynamic', quantizeDynamicWeights, 35],
] as const)('weights for %s activations have a float32 bias', (_, quantize, decibels) => {
  const built = builder();
  const filter = quantize(layer, built);
  expect(numbers(built, filter.biasOffset, true)).toEqual(Array.from(layer.bias!));
  expect(built.weightFidelity.get('layer')).toBeGreaterThan(decibels);
});

test('the bias is corrected by the mean error of the rounded weights', () => {
  const means = Float64Array.from({ length: DEPTH }, (_, k) => k + 1);
  const built = builder({ means: new Map([['x:0', means]]) });
  const filter = quantizeDynamicWeights(layer, built);
  const { codes, scales } = quantizeFilter(values, row, ROWS, undefined, 1);
  const expected = Array.from(layer.bias!);
  values.forEach((w, i) => {
    expected[row(i)] += (w - codes[i] * scales[row(i)]) * means[i % DEPTH];
  });
  numbers(built, filter.biasOffset, true).forEach((b, c) => {
    expect(b).toBeCloseTo(expected[c], 5);
  });
});

test('quantized weights are kept for the next program of the same input scale', () => {
  const filters = new Map<string, FilterCodes>();
  quantizeWeights(layer, builder({}, { filters }));
  expect([...filters.keys()]).toHaveLength(1);
  const [known] = filters.values();
  const other = { codes: known.codes.map(() => 1), scales: known.scales };
  filters.set([...filters.keys()][0], other);
  const built = builder({}, { filters });
  const { filterOffset } = quantizeWeights(layer, built);
  expect(new Int8Array(built.weights.build().buffer, filterOffset, 4)).toEqual(Int8Array.of(1, 1, 1, 1));
});

test('weights rounded with error feedback are used only with the scales that they were rounded for', () => {
  const plain = quantizeFilter(values, row, ROWS, undefined, 1);
  const codes = plain.codes.map((code) => Math.sign(code));
  const codesWith = (scales: Float32Array) => {
    const rounded = new Map([['layer', { codes, scales }]]);
    const built = builder({}, { rounded });
    const { filterOffset } = quantizeDynamicWeights(layer, built);
    return new Int8Array(built.weights.build().buffer, filterOffset, ROWS * DEPTH);
  };
  expect(codesWith(plain.scales)).toEqual(codes);
  expect(codesWith(plain.scales.map((scale) => 2 * scale))).toEqual(plain.codes);
});

test.each([
  ['static', quantizeWeights],
  ['dynamic', quantizeDynamicWeights],
])('a layer in blocks of channels has the %s weights, bias and fidelity of the whole', (_, quantize) => {
  const dead = values.map((value, i) => (row(i) === 2 ? value * 1e-12 : value));
  const whole = { ...layer, values: () => dead };
  const block = (from: number, to: number): LayerWeights => ({
    ...layer,
    values: () => dead.slice(from * DEPTH, to * DEPTH),
    channels: to - from,
    bias: layer.bias!.slice(from, to),
  });
  const strongest = () => Math.max(...dead.map(Math.abs));
  const blocks = { all: [block(0, 2), block(2, 3)], size: dead.length, strongest };
  const [one, two] = [whole, { ...whole, blocks }].map((weights) => {
    const built = builder({ means: new Map([['x:0', new Float64Array(DEPTH).fill(0.3)]]) });
    const refs = quantize(weights, built);
    return { refs, bytes: built.weights.build(), fidelity: built.weightFidelity.get('layer') };
  });
  expect(two).toEqual(one);
});
