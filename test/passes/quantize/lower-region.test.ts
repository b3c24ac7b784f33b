// @needs engine
import { calibrate } from '../../../src/calibration/runner';
import { attr } from '../../../src/graph/attrs';
import { observedTensors } from '../../../src/passes/quantize/plan/observed-tensors';
import { planQuantization } from '../../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../../src/passes/quantize/quantize-graph';
import { signalToNoise } from '../../../src/quantization/metrics';
import { execute, FloatGraph } from '../../support/float-graph';
import { toSample } from '../../support/quantize';
import { randomOf } from '../../support/random';

const T = { T: attr.dtype('float32') };

/** Values of pictures, 0..255, as x / 127.5 - 1: a grid without a value at 0. */
function pictures(random: ReturnType<typeof randomOf>, shape: readonly number[]) {
  const count = shape.reduce((p, d) => p * d, 1);
  const values = Float32Array.from(
    { length: count },
    (_, i) => (i < 2 ? 255 * i : random.int(100, 255)) / 127.5 - 1,
  );
  return { x: { shape: [...shape], values } };
}

test.each([
  ['MatMul', [16, 16], [16, 16]],
  ['BatchMatMulV2', [2, 16, 16], [1, 16, 16]],
])(
  'the offset of an input on a grid does not get lost in a %s with another activation',
  async (op, shape, of) => {
    const random = randomOf(`grid ${op}`, 0);
    const graph = new FloatGraph(random)
      .input('x', shape)
      .weights('w', of, 0, 0.5)
      .node('a', op, ['x', 'w'], T)
      .node('product', op, ['x', 'a'], T)
      .build('product');
    const plan = planQuantization(graph);
    expect(plan.float.size).toBe(0);
    const samples = Array.from({ length: 8 }, () => toSample(pictures(random, shape)));
    const source = async function* () {
      yield* samples;
    };
    const observations = await calibrate(graph, observedTensors(plan), source, { method: 'minmax' });
    expect([...(observations.grids?.keys() ?? [])]).toEqual(['x:0']);
    const quantized = quantizeGraph(graph, plan, observations).graph;
    const feeds = pictures(random, shape);
    const [[expected], [received]] = [await execute(graph, feeds), await execute(quantized, feeds)];
    const error =
      received.values.reduce((sum, v, i) => sum + v - expected.values[i], 0) / received.values.length;
    // Lost, the offset of 1 / 255 would change every element by itself times the sum of a column of `a`, 0.1 and more.
    expect(Math.abs(error)).toBeLessThan(0.08);
    expect(signalToNoise(expected.values, received.values)).toBeGreaterThan(36);
  },
);
