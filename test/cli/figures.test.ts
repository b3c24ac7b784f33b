import { floatTable, sizeRatio, speedRatio, workShare } from '../../src/cli/figures';

test('a ratio says in which direction', () => {
  expect(sizeRatio(4, 1)).toBe('4.00x smaller');
  expect(sizeRatio(1, 2)).toBe('2.00x larger');
  expect(speedRatio(1.5)).toBe('1.50x faster');
  expect(speedRatio(0.5)).toBe('2.00x slower');
});

const COUNTS = { products: 3, incomplete: 0, floatProducts: [] };

test('a share of unknown work is called one', () => {
  expect(workShare(100, COUNTS)).toBe('100.00 %');
  expect(workShare(100, { ...COUNTS, incomplete: 1 })).toBe(
    '100.00 % of those known (a product has a size known at run time only)',
  );
  expect(workShare(100, { ...COUNTS, incomplete: 2 })).toContain('2 products have sizes');
});

test('products that stay float come first, with what they cost', () => {
  const product = { name: 'big', op: 'Conv2D', macs: 3e6, incomplete: true as const, reason: 'open' };
  const float = [{ name: 'sum', op: 'AddV2', reason: 'end' }, product];
  const [text] = floatTable('left', { ...COUNTS, floatProducts: [product] }, float);
  expect(text.match(/(big|sum) .*│/g)).toEqual([
    expect.stringMatching(/big +│ Conv2D +│ >= 3\.00 +│ open/),
    expect.stringMatching(/sum +│ AddV2 +│ +│ end/),
  ]);
  expect(floatTable('left', COUNTS, [])).toEqual([]);
});
