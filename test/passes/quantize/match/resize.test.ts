import { matchResize } from '../../../../src/passes/quantize/match/resize';
import { matchOp } from '../../../support/match';
import { randomOf } from '../../../support/random';

const random = randomOf('resize', 0);

test('a bilinear resize averages, the nearest neighbour is selected', () => {
  const match = (op: string, attrs = {}) =>
    matchOp(
      matchResize,
      (g) => g.constant('s', [2], [12, 9], 'int32').node('op', op, ['x', 's'], attrs),
      random,
    );
  expect(match('ResizeBilinear')).toMatchObject({ kind: 'averaging' });
  expect(match('ResizeNearestNeighbor')).toMatchObject({ kind: 'selecting' });
  expect(match('ResizeBilinear', { align_corners: { b: true }, half_pixel_centers: { b: true } })).toBe(
    'it aligns both corners and centers',
  );
});
