/** Shapes as engines take them: for each tensor its rank, then its dims. */
import { LowbitError } from '../base/errors';

export type Shapes = readonly (readonly number[])[];

export function sameShapes(a: Shapes, b: Shapes): boolean {
  return (
    a.length === b.length &&
    a.every((shape, i) => shape.length === b[i].length && shape.every((dim, j) => dim === b[i][j]))
  );
}

/** The shapes of a call's inputs, encoded, and those of its outputs once they are known. */
interface ShapesOfCall {
  readonly shapes: Shapes;
  readonly words: Int32Array;
  outputs?: number[][];
}

/** Remembers the shapes of the last call, which most often are those of the next. */
export class LastShapes {
  private last: ShapesOfCall = { shapes: [], words: new Int32Array(0) };

  /** @throws LowbitError as `encodeShapes` */
  of(shapes: Shapes): ShapesOfCall {
    if (!sameShapes(shapes, this.last.shapes)) {
      this.last = { shapes: shapes.map((shape) => [...shape]), words: encodeShapes(shapes) };
    }
    return this.last;
  }
}

/** @throws LowbitError 'invalid-shape' for a dimension that is no int32 */
export function encodeShapes(shapes: Shapes): Int32Array {
  for (const shape of shapes) {
    for (const dim of shape) {
      if (!Number.isInteger(dim) || dim < 0 || dim > 0x7fffffff) {
        throw new LowbitError(
          'invalid-shape',
          `Dimension ${dim} of input shape [${shape}] does not fit int32.`,
        );
      }
    }
  }
  return Int32Array.from(shapes.flatMap((shape) => [shape.length, ...shape]));
}

export function decodeShapes(words: readonly number[]): number[][] {
  const shapes: number[][] = [];
  for (let i = 0; i < words.length; i += words[i] + 1) shapes.push(words.slice(i + 1, i + 1 + words[i]));
  return shapes;
}
