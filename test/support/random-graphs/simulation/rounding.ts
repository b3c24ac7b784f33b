/** How a program rounds what it stores, in float: each value becomes the one that its code stands for. */
import { Granularity, type Rotation } from '../../../../src/program/program';
import { rotateRow } from '../../../kernels/reference/rotation';

export function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

const { fround } = Math;

/**
 * Steps are float32, as those of a program: all pixels of a picture may lie halfway between two codes, where float32 decides
 * which one each gets.
 */
function roundTo(x: number, scale: number, zeroPoint: number, offset: number): number {
  const steps = roundHalfToEven(fround(fround(x - offset) / scale));
  return (clamp(steps + zeroPoint, -128, 127) - zeroPoint) * scale + offset;
}

export type Rounding = (values: Float32Array, shape: readonly number[]) => Float32Array;

export const staticRounding =
  (scale: number, zeroPoint: number, offset = 0): Rounding =>
  (values) =>
    values.map((x) => roundTo(x, scale, zeroPoint, offset));

/** Rounds values that belong together with the scale that they need. */
function byGroups(
  values: Float32Array,
  groupOf: (i: number) => number,
  rounded: (low: number, high: number) => (x: number) => number,
): Float32Array {
  const [lows, highs] = [new Map<number, number>(), new Map<number, number>()];
  values.forEach((x, i) => {
    const group = groupOf(i);
    lows.set(group, Math.min(lows.get(group) ?? 0, x));
    highs.set(group, Math.max(highs.get(group) ?? 0, x));
  });
  const rounders = new Map([...lows].map(([group, low]) => [group, rounded(low, highs.get(group)!)]));
  return values.map((x, i) => rounders.get(groupOf(i))!(x));
}

const sampleSize = (shape: readonly number[]) =>
  (shape.length < 2 ? shape : shape.slice(1)).reduce((product, d) => product * d, 1);

export const int16Rounding: Rounding = (values, shape) =>
  byGroups(
    values,
    (i) => Math.floor(i / sampleSize(shape)),
    (low, high) => {
      const scale = Math.max(-low, high) / 32767;
      return (x) => (scale === 0 ? 0 : roundHalfToEven(x / scale) * scale);
    },
  );

export const dynamicRounding =
  (granularity: Granularity): Rounding =>
  (values, shape) => {
    const channels = shape.at(-1) ?? 1;
    const sample = (i: number) => Math.floor(i / sampleSize(shape));
    const groupOf =
      granularity === Granularity.Sample
        ? sample
        : granularity === Granularity.Row
          ? (i: number) => Math.floor(i / channels)
          : (i: number) => sample(i) * channels + (i % channels);
    return byGroups(values, groupOf, (low, high) => {
      const scale = (high - low) / 255;
      if (scale === 0) return () => 0;
      const inverse = fround(255 / fround(high - low));
      const zero = roundHalfToEven(fround(-low * inverse));
      const codeOf = (x: number) => roundHalfToEven(clamp(fround(fround(x * inverse) + zero), 0, 255));
      return (x) => (codeOf(x) - zero) * scale;
    });
  };

export const gridRounding =
  (first: number, step: number): Rounding =>
  (values) =>
    values.map((x) => first + clamp(roundHalfToEven((x - first) / step), 0, 255) * step);

/** Rows of any length, one after the other. */
export function rotateRows(values: Float32Array, rotation: Rotation): Float32Array {
  const rotated = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += rotation.depth)
    rotated.set(rotateRow([...values.subarray(start, start + rotation.depth)], rotation), start);
  return rotated;
}

/**
 * Codes of rotated values, seen without the rotation.
 *
 * @param before how the values are rounded that are rotated
 * @param after how rotated values are rounded
 */
export const rotatedRounding =
  (rotation: Rotation, before: Rounding | undefined, after: Rounding): Rounding =>
  (values, shape) => {
    const rows = rotateRows(before ? before(values, shape) : values, rotation);
    return rotateRows(after(rows, shape), { ...rotation, inverse: true });
  };
