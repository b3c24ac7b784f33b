import { matchSoftmax } from '../../../../src/passes/quantize/match/softmax';
import { matchOp } from '../../../support/match';
import { randomOf } from '../../../support/random';

const random = randomOf('softmax', 0);

test('a softmax has no form with int16 or dynamic activations', () => {
  const softmax = matchOp(matchSoftmax, (g) => g.node('op', 'Softmax', ['x']), random);
  expect(softmax).toMatchObject({ kind: 'softmax' });
  expect(softmax).not.toHaveProperty('lowerFloat');
});
