import { isMeasurable, summarize } from '../../src/evaluation/memory';

const MB = 1e6;
const grown = (...residents: number[]) => residents.map((resident) => ({ resident, peak: 2 * resident }));

test('what one process measures wrong, the others outvote', () => {
  expect(summarize(grown(10 * MB, -30 * MB, 11 * MB))).toEqual({
    resident: 10 * MB,
    peak: 20 * MB,
    uncertainty: 40 * MB,
  });
});

test('growth below the spread of the processes is not measurable', () => {
  expect(isMeasurable(summarize(grown(10 * MB, 11 * MB, 12 * MB)))).toBe(true);
  expect(isMeasurable(summarize(grown(-1 * MB, 1 * MB, 3 * MB)))).toBe(false);
  expect(isMeasurable(summarize(grown(-1 * MB, -1 * MB, -1 * MB)))).toBe(false);
  expect(isMeasurable(summarize(grown(1000, 1000, 1000)))).toBe(false);
});
