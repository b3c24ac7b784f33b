/** What a StridedSlice takes, its masks and negative positions resolved against the shape of its input. */
import { attr, numberAttr } from './attrs';
import type { GraphNode, RawAttr } from './ir';

/** What it takes of one axis of its input. */
export interface AxisSlice {
  /** -1 where part of an axis of unknown size is taken: which part is known only at run time. */
  readonly start: number;
  readonly stride: number;
  /** -1: known only at run time. */
  readonly size: number;
  /** The axis does not appear in the result. */
  readonly dropped: boolean;
}

export interface StridedSlice {
  readonly axes: readonly AxisSlice[];
  /** Shape of the result: new axes included, dropped ones left out. */
  readonly shape: readonly number[];
}

const UNKNOWN = { start: -1, stride: 1, size: -1 };
const WHOLE = { start: 0, stride: 1, dropped: false };

/** No axis is longer: ONNX writes it for the end of an axis. */
const END = 2 ** 31 - 1;

function axisSlice(
  size: number,
  [begin, end, stride]: readonly [number, number, number],
  masked: { begin: boolean; end: boolean; shrink: boolean },
): AxisSlice {
  if (masked.shrink) {
    if (size < 0 && begin < 0) return { ...UNKNOWN, dropped: true };
    return { start: begin < 0 ? begin + size : begin, stride: 1, size: 1, dropped: true };
  }
  const fromStart = masked.begin || begin === 0;
  const toEnd = masked.end || end >= END;
  if (fromStart && toEnd && stride === 1) return { ...WHOLE, size };
  if (size < 0) return { ...UNKNOWN, stride, dropped: false };
  const backwards = stride < 0;
  const [lowest, highest] = backwards ? [-1, size - 1] : [0, size];
  const at = (v: number) => Math.min(Math.max(v < 0 ? v + size : v, lowest), highest);
  const from = masked.begin ? (backwards ? highest : lowest) : at(begin);
  const to = masked.end ? (backwards ? lowest : highest) : at(end);
  return { start: from, stride, size: Math.max(0, Math.ceil((to - from) / stride)), dropped: false };
}

/**
 * Resolves a StridedSlice.
 *
 * @param input shape of the input
 * @param end NaN where a position is known only at run time, as in `begin` and `strides`
 * @returns undefined where the rank of the result is not known: more entries than axes, a stride of 0
 * @see TensorFlow, tf.raw_ops.StridedSlice
 */
export function resolveStridedSlice(
  node: GraphNode,
  input: readonly number[],
  begin: readonly number[],
  end: readonly number[],
  strides: readonly number[],
): StridedSlice | undefined {
  const masked = (name: string, i: number) => (((numberAttr(node, `${name}_mask`) ?? 0) >> i) & 1) === 1;
  const added = begin.filter((_, i) => masked('new_axis', i) && !masked('ellipsis', i)).length;
  const ellipses = begin.filter((_, i) => masked('ellipsis', i)).length;
  const given = begin.length - added - ellipses;
  if (ellipses > 1 || given > input.length || strides.includes(0)) return undefined;
  const axes: AxisSlice[] = [];
  const shape: number[] = [];
  const take = (slice: AxisSlice) => {
    axes.push(slice);
    if (!slice.dropped) shape.push(slice.size);
  };
  for (let i = 0; i < begin.length; i++) {
    if (masked('ellipsis', i)) {
      for (let n = input.length - given; n > 0; n--) take({ ...WHOLE, size: input[axes.length] });
    } else if (masked('new_axis', i)) {
      shape.push(1);
    } else {
      const flags = { begin: masked('begin', i), end: masked('end', i), shrink: masked('shrink_axis', i) };
      const entry = [begin[i], end[i], strides[i]] as const;
      const read = [flags.begin ? 0 : begin[i], flags.end || flags.shrink ? 0 : end[i], strides[i]];
      const known = !read.some(Number.isNaN);
      take(known ? axisSlice(input[axes.length], entry, flags) : { ...UNKNOWN, dropped: flags.shrink });
    }
  }
  while (axes.length < input.length) take({ ...WHOLE, size: input[axes.length] });
  return { axes, shape };
}

/** Masks of a StridedSlice, one bit an axis. */
export function sliceAttrs({ begin = 0, end = 0, shrink = 0 }): Record<string, RawAttr> {
  return {
    begin_mask: attr.int(begin),
    end_mask: attr.int(end),
    shrink_axis_mask: attr.int(shrink),
    ellipsis_mask: attr.int(0),
    new_axis_mask: attr.int(0),
  };
}
