// @needs engine
/** Programs of layers whose int8 activations are quantized by the values at hand. */

import { calibrate } from '../../../../src/calibration/runner';
import type { Graph } from '../../../../src/graph/ir';
import { lowerRegion } from '../../../../src/passes/quantize/lower-region';
import { observedTensors } from '../../../../src/passes/quantize/plan/observed-tensors';
import { type PlanOptions, planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../../../src/passes/quantize/quantize-graph';
import { Granularity, OpKind, TensorType } from '../../../../src/program/program';
import type { Observations } from '../../../../src/quantization/observations';
import { execute, FloatGraph, windowAttrs } from '../../../support/float-graph';
import { expectReference } from '../../../support/quantize';
import { randomOf } from '../../../support/random';

const random = randomOf('dynamic layers', 0);
const { Sample, Row, Channel } = Granularity;

/** `image` [-1, 6, 6, 3] and what every layer reads; `c` and `d` read the same. */
const graph = new FloatGraph(random)
  .input('image', [-1, 6, 6, 3])
  .weights('wa', [3, 3, 3, 5], -0.4, 0.4)
  .weights('wb', [1, 1, 5, 5], -0.6, 0.6)
  .weights('wc', [3, 3, 5, 1], -0.6, 0.6)
  .weights('wd', [3, 3, 5, 5], -0.3, 0.3)
  .node('a', 'Conv2D', ['image', 'wa'], windowAttrs())
  .node('b', 'Conv2D', ['a', 'wb'], windowAttrs())
  .node('c', 'DepthwiseConv2dNative', ['b', 'wc'], windowAttrs())
  .node('d', 'Conv2D', ['b', 'wd'], windowAttrs())
  .node('sum', 'AddV2', ['c', 'd'])
  .build('sum');

const LAYERS = ['a', 'b', 'c', 'd'];
const options: PlanOptions = { precisions: new Map(LAYERS.map((name) => [name, 'dynamic'])) };
const plan = planQuantization(graph, options);

/** Observations of images of these values. */
function observe(value: () => number): Promise<Observations> {
  return calibrate(
    graph,
    observedTensors(plan),
    async function* () {
      for (let i = 0; i < 8; i++) {
        const values = Float32Array.from({ length: 108 }, value);
        yield { image: { dtype: 'float32' as const, shape: [1, 6, 6, 3], values } };
      }
    },
    { method: 'minmax' },
  );
}

const pixel = () => Math.fround(random.pick([0, 255, random.int(0, 255)]) / 127.5 - 1);
const real = () => random.real(-1, 1);

function quantizers(observations: Observations) {
  const { tensors, ops } = lowerRegion(plan.regions[0], plan, observations).build();
  return ops
    .filter(({ output }) => tensors[output].type === TensorType.DynamicInt8)
    .map((op) => ({ of: op.name, kind: op.kind, granularity: tensors[op.output].granularity, op }));
}

test('every layer reads codes as fine as it can, and layers share them', async () => {
  const { QuantizeDynamic } = OpKind;
  expect(quantizers(await observe(real))).toMatchObject([
    { of: 'image', kind: QuantizeDynamic, granularity: Sample },
    { of: 'a', kind: QuantizeDynamic, granularity: Row },
    { of: 'b', kind: QuantizeDynamic, granularity: Channel },
    { of: 'b', kind: QuantizeDynamic, granularity: Sample },
  ]);
});

test('an image keeps the codes of its pixels', async () => {
  const observations = await observe(pixel);
  const grid = observations.grids!.get('image:0')!;
  expect(grid.first).toBe(-1);
  expect(grid.step).toBeCloseTo(2 / 255, 7);
  const [first, ...others] = quantizers(observations);
  expect(first).toMatchObject({ of: 'image', op: { kind: OpKind.QuantizeGrid, grid } });
  expect(others.map(({ kind }) => kind)).toEqual(others.map(() => OpKind.QuantizeDynamic));
  await expectReference(graph, observations, random, options);
});

test('the range of an image of few shades does not cost it its codes', async () => {
  const only = (layer: string, of: Graph) =>
    planQuantization(of, { precisions: new Map([[layer, 'dynamic']]) });
  const observations = await observe(pixel);
  const one = new FloatGraph(random)
    .input('image', [-1, 6, 6, 3])
    .constant(
      'wa',
      [1, 3, 3, 1],
      Array.from({ length: 9 }, (_, i) => (i === 4 ? 1 : 0)),
    )
    .node('a', 'Conv2D', ['image', 'wa'], windowAttrs())
    .build('a');
  const { graph: quantized } = quantizeGraph(one, only('a', one), observations);
  // Shades that a range of their own would round.
  const values = Float32Array.from({ length: 108 }, () => Math.fround(random.int(100, 160) / 127.5 - 1));
  const feeds = { image: { shape: [1, 6, 6, 3], values } };
  const [[expected], [received]] = [await execute(one, feeds), await execute(quantized, feeds)];
  for (const [i, value] of expected.values.entries()) expect(received.values[i]).toBeCloseTo(value, 5);
});

test('a region that has such layers is one program, whatever is asked', async () => {
  const observations = await observe(real);
  const { graph: expanded } = quantizeGraph(graph, plan, observations, { regions: false });
  const ops = [...expanded.nodes.values()].map(({ op }) => op).filter((op) => op.startsWith('Quantized'));
  expect(ops).toEqual(['QuantizedRegion']);
});
