// @needs engine
import { convertGraph, decideConversion } from '../../../../../src/conversion/convert-graph';
import type { QuantizationOptions } from '../../../../../src/conversion/options/options';
import { settle } from '../../../../../src/conversion/options/settle';
import type { Int8Decision } from '../../../../../src/conversion/stage-results';
import { lower } from '../../../../../src/conversion/stages/lower/lower';
import '../../../../../src/index.node';
import type { Graph, Sample } from '../../../../../src/graph/ir';
import { signalToNoise } from '../../../../../src/quantization/metrics';
import { drawFeeds, execute } from '../../../../support/float-graph';
import { randomOf } from '../../../../support/random';
import { conv, image } from '../../../../support/small-network';
import { uneven } from '../../../../support/uneven';

const random = randomOf('recipe', 0);

/** Inputs as large as given, one after the other. */
function samplesOf(graph: Graph, scales: readonly number[]): Sample[] {
  return scales.map((scale) => {
    const feeds = drawFeeds(graph, random);
    return Object.fromEntries(
      Object.entries(feeds).map(([name, { shape, values }]) => [
        name,
        { dtype: 'float32' as const, shape, values: values.map((v) => v * scale) },
      ]),
    );
  });
}

const sourceOf = (samples: readonly Sample[]) =>
  async function* () {
    yield* samples;
  };

function network(): Graph {
  const graph = image(random);
  conv(graph, 'a', 'image', 'Relu');
  conv(graph, 'b', 'a', 'Relu');
  return conv(graph, 'c', 'b').build('c');
}

const plain = network();
const alike = samplesOf(plain, new Array(16).fill(1));
/**
 * Most are a thousandth of the largest: one scale for all of them has no codes for the small ones. (Nor has one mean of
 * all, so biases are not corrected.)
 */
const unlike = samplesOf(
  plain,
  Array.from({ length: 16 }, (_, i) => (i % 4 === 1 ? 1000 : 1)),
);

const convert = (graph: Graph, samples: readonly Sample[], options: QuantizationOptions = {}) =>
  convertGraph(graph, sourceOf(samples), { biasCorrection: 'none', ...options });

test('what static INT8 serves stays static, and nothing else is tried', async () => {
  const { recipe, config } = await convert(plain, alike);
  expect(recipe).toMatchObject({ name: 'balanced', met: true, late: false, samples: 8 });
  expect(recipe!.steps).toEqual([expect.objectContaining({ name: 'static', chosen: true, met: true })]);
  expect(config.layers!.every(({ activations }) => activations === undefined)).toBe(true);
});

test('what costs nothing when the model runs comes before precision', async () => {
  const graph = uneven(random);
  const { recipe, config } = await convert(graph, samplesOf(graph, new Array(16).fill(1)));
  const chosen = recipe!.steps.find((step) => step.chosen)!;
  expect(recipe!.met).toBe(true);
  expect(chosen.name).toBe('equalize');
  expect(config).toMatchObject({ equalize: true, recipe: 'fast' });
});

test('layers get dynamic or int16 activations where one scale does not fit all inputs', async () => {
  const fast = await convert(plain, unlike, { recipe: 'fast' });
  expect(fast.recipe).toBeUndefined();
  const { recipe, config, warnings, graph } = await convert(plain, unlike);
  expect(recipe!.met).toBe(true);
  const precise = config.layers!.flatMap(({ activations = 'int8' }) =>
    activations === 'int8' ? [] : activations,
  );
  expect(precise.length).toBeGreaterThan(0);
  expect(warnings.filter((warning) => warning.includes('target'))).toEqual([]);
  const small = drawFeeds(plain, random);
  const [[float], [ours], [fastOnes]] = await Promise.all(
    [plain, graph, fast.graph].map((each) => execute(each, small)),
  );
  expect(signalToNoise(float.values, ours.values)).toBeGreaterThan(25);
  expect(signalToNoise(float.values, fastOnes.values)).toBeLessThan(10);
});

test('the configuration of a recipe gives the same model without a search', async () => {
  const found = await convert(plain, unlike);
  const again = await convert(plain, unlike, { config: found.config });
  expect(again.recipe).toBeUndefined();
  expect(again.graph.constants).toEqual(found.graph.constants);
  expect(again.config).toEqual(found.config);
});

test('the same data gives the same recipe', async () => {
  const [a, b] = [await convert(plain, unlike), await convert(plain, unlike)];
  const steps = ({ recipe }: typeof a) =>
    recipe!.steps.map(({ seconds: _, milliseconds: __, ...step }) => step);
  for (const { milliseconds } of a.recipe!.steps) expect(milliseconds).toBeGreaterThan(0);
  expect(steps(a)).toEqual(steps(b));
  expect(a.graph.constants).toEqual(b.graph.constants);
});

test('a time budget that runs out keeps the best so far and says so', async () => {
  const { recipe, warnings } = await convert(plain, unlike, { timeBudget: 1e-6 });
  expect(recipe).toMatchObject({ met: false, late: true });
  expect(recipe!.steps).toHaveLength(1);
  expect(warnings).toContainEqual(expect.stringMatching(/25 dB is not reached.*time budget ran out/));
});

test('a target that is not met on samples that the search has not seen gives a warning', async () => {
  const decision = (await decideConversion(plain, settle({}, sourceOf(alike)))) as Int8Decision;
  const warningsOf = (confirmed: boolean) => {
    const steps = decision.recipe!.steps.map((step) => ({ ...step, confirmed }));
    return lower({ ...decision, recipe: { ...decision.recipe!, steps } }).warnings;
  };
  expect(warningsOf(true)).toEqual([]);
  expect(warningsOf(false)).toEqual([
    expect.stringMatching(/25 dB is reached on the samples .* not on others/),
  ]);
});

test('layers that options fix stay as they are', async () => {
  const { recipe, config } = await convert(plain, unlike, { skip: ['b'], equalize: false });
  expect(recipe!.steps.map(({ name }) => name)).not.toContain('equalize');
  expect(config.layers).toContainEqual(expect.objectContaining({ match: 'b', bits: 'float' }));
});

test('the recipe accurate reaches more', async () => {
  const { recipe } = await convert(plain, unlike, { recipe: 'accurate' });
  expect(recipe!.target.median).toBe(35);
  expect(recipe!.steps.find(({ chosen }) => chosen)!.signalToNoise).toBeGreaterThanOrEqual(35);
});

test.each([
  [{ minSignalToNoise: 20 }],
  [{ dynamic: ['**'] }],
  [{ int16: ['a'] }],
  [{ weights: 'int4' as const }],
  [{ targetBits: 4 }],
  [{ config: { layers: [{ match: 'a', activations: 'int16' as const }] } }],
])('options that decide themselves, %j, search for nothing else, and refuse a recipe', async (options) => {
  expect((await convert(plain, alike, options)).recipe).toBeUndefined();
  await expect(convert(plain, alike, { ...options, recipe: 'balanced' })).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringContaining("'fast', as other options decide"),
  });
});

test('a recipe needs data, and has one of three names', async () => {
  await expect(convertGraph(plain, 'random', { recipe: 'accurate' })).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringContaining('no calibration data to judge on'),
  });
  await expect(convert(plain, alike, { recipe: 'best' as 'fast' })).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringContaining('fast, balanced, accurate'),
  });
});
