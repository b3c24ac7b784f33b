import { observedTensors } from '../../../../src/passes/quantize/plan/observed-tensors';
import { planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { randomOf } from '../../../support/random';
import { conv, image } from '../../../support/small-network';

const random = randomOf('observed-tensors', 0);
const graph = conv(conv(image(random), 'a', 'image'), 'b', 'a').build('b');
const plan = planQuantization(graph);
const ref = (node: string) => ({ node, index: 0 });

test('ranges of what is stored, and channel means of what weights multiply', () => {
  expect(observedTensors(plan)).toEqual([
    { ref: ref('image'), means: true },
    { ref: ref('a'), means: true },
    { ref: ref('b') },
  ]);
});

test('a layer with low-bit weights needs mean squares, of its rotated input if it is rotated', () => {
  const rotation = { block: 64, seed: 1 };
  const rotations = new Map([
    ['a', undefined],
    ['b', rotation],
  ]);
  expect(observedTensors(plan, rotations)).toEqual([
    { ref: ref('image'), means: true, squares: true },
    { ref: ref('a'), means: true, squares: true },
    { ref: ref('b') },
    { ref: ref('a'), rotation, means: true, squares: true },
  ]);
});
