/**
 * How a layer's tensor lies in the graph's. Convolutions and pools take [batch, height, width, channels]: a tensor of
 * a `channels_first` layer or of a sequence stays in that order from layer to layer, and is put back only for a layer
 * that minds the order.
 */
import { LowbitError } from '../../base/errors';
import type { Shape } from '../infer-shapes';
import type { DType, TensorRef } from '../ir';

export interface Layout {
  /** The axis of the graph's tensor for each of the layer's; axes left out have size 1. Absent: they are the same. */
  readonly axes?: readonly number[];
}

export const PLAIN: Layout = {};
/** [batch, channels, height, width] in NHWC. */
export const CHANNELS_FIRST: Layout = { axes: [0, 3, 1, 2] };
/** [batch, steps, channels] as an image of height 1. */
export const SEQUENCE: Layout = { axes: [0, 2, 3] };

/** What a layer takes and gives. */
export interface LayerTensor {
  readonly ref: TensorRef;
  /** As the layers see it; -1: known only at run time. */
  readonly shape: Shape;
  readonly layout: Layout;
  readonly dtype: DType;
}

/** The axis in the graph's tensor of a layer's axis (which may count from the end). */
export function physicalAxis({ shape, layout }: LayerTensor, axis: number): number {
  const positive = axis < 0 ? axis + shape.length : axis;
  return layout.axes?.[positive] ?? positive;
}

/** The layer's shape of a graph tensor's. */
export function logicalShape(physical: Shape, { axes }: Layout): Shape {
  return axes ? axes.map((axis) => physical[axis]) : physical;
}

export function elements(shape: Shape): number {
  const count = shape.reduce((product, d) => product * d, 1);
  if (!Number.isSafeInteger(count)) {
    throw new LowbitError('invalid-model', `The shape [${shape}] multiplies past 2^53.`);
  }
  return count;
}
