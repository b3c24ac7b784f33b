import { median } from '../../src/base/median';

test('the middle value of an odd number of values, in the order of numbers and not of their text', () => {
  expect(median([10, 9, 2])).toBe(9);
  expect(median([-1])).toBe(-1);
});

test('the mean of the two middle values of an even number', () => {
  expect(median([4, 1, 100, 3])).toBe(3.5);
});

test('leaves the values as they are', () => {
  const values = [3, 1, 2];
  median(values);
  expect(values).toEqual([3, 1, 2]);
});
