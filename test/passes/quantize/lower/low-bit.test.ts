// @needs engine

import { calibrate } from '../../../../src/calibration/runner';
import { type LinearOp, readLinearOp } from '../../../../src/passes/linear-op';
import { encodeLayer, type LayerFormat } from '../../../../src/passes/quantize/lower/encode-layer';
import { lowerRegion } from '../../../../src/passes/quantize/lower-region';
import { observedTensors } from '../../../../src/passes/quantize/plan/observed-tensors';
import { planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../../../src/passes/quantize/quantize-graph';
import { OpKind } from '../../../../src/program/program';
import { drawFeeds, FloatGraph, windowAttrs } from '../../../support/float-graph';
import { fidelity, toSample } from '../../../support/quantize';
import { type Random, randomOf } from '../../../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

/** A convolution of 64 channels with low-bit weights: its ops, and how near the result is to the float one, in dB. */
async function convert(size: number, strides: number, format: LayerFormat) {
  const graph = new FloatGraph(random)
    .input('x', [2, 6, 6, 64])
    .weights('w', [size, size, 64, 8], -0.2, 0.2)
    .node('y', 'Conv2D', ['x', 'w'], windowAttrs({ strides }))
    .build('y');
  const op = readLinearOp(graph, graph.nodes.get('y')!) as LinearOp;
  const plan = planQuantization(graph);
  const encoded = encodeLayer(op, format, {});
  const tensors = observedTensors(plan, new Map([['y', format.rotation]]));
  const samples = [1, 2, 3].map(() => toSample(drawFeeds(graph, random)));
  const observations = await calibrate(
    graph,
    tensors,
    async function* () {
      yield* samples;
    },
    { method: 'minmax' },
  );
  const lowBit = new Map([['y', encoded]]);
  const builder = lowerRegion(plan.regions[0], plan, observations, { lowBit });
  const { graph: quantized, weightFidelity } = quantizeGraph(graph, plan, observations, { lowBit });
  const [decibels] = await fidelity(graph, quantized, random);
  return { kinds: builder.build().ops.map(({ kind }) => kind), decibels, weights: weightFidelity.get('y')! };
}

const UNIFORM: LayerFormat = { format: 'uniform4', group: 64 };

test('a 1x1 convolution keeps its strides', async () => {
  const { kinds, decibels, weights } = await convert(1, 2, UNIFORM);
  expect(kinds).toEqual([OpKind.Quantize, OpKind.Conv2D]);
  expect(decibels).toBeGreaterThan(weights - 3);
});

test('a larger window is a 1x1 convolution over the patches of im2col', async () => {
  const { kinds, decibels, weights } = await convert(3, 1, UNIFORM);
  expect(kinds).toEqual([
    OpKind.Quantize,
    OpKind.Pad,
    ...new Array(9).fill(OpKind.Slice),
    OpKind.Concat,
    OpKind.Conv2D,
  ]);
  expect(decibels).toBeGreaterThan(weights - 3);
});

test('a rotated layer reads rotated codes', async () => {
  const rotation = { block: 64, seed: 2 };
  const { kinds, decibels, weights } = await convert(1, 1, { ...UNIFORM, rotation });
  expect(kinds).toEqual([OpKind.Rotate, OpKind.Conv2D]);
  expect(decibels).toBeGreaterThan(weights - 3);
});
