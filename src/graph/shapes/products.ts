/** Shapes of matrix products, reductions and other arithmetic over axes. */
import { boolAttr, numberAttr, stringAttr } from '../attrs';
import { axisOf, broadcast, constantsOf, elements, invalid, type Rule, type Shape, shapeOf } from './known';

export const matMul: Rule = (node, known) => {
  const a = shapeOf(known, node.inputs[0]);
  const b = shapeOf(known, node.inputs[1]);
  const flat = node.op === 'MatMul' || node.op === '_FusedMatMul';
  if (!a && flat && b?.length === 2) return [-1, boolAttr(node, 'transpose_b') ? b[0] : b[1]];
  if (!a || !b || a.length < 2 || b.length < 2) return undefined;
  const transposeA = boolAttr(node, 'transpose_a') || boolAttr(node, 'adj_x');
  const transposeB = boolAttr(node, 'transpose_b') || boolAttr(node, 'adj_y');
  const [rows, depth] = transposeA ? [a.at(-1)!, a.at(-2)!] : [a.at(-2)!, a.at(-1)!];
  const [depthB, columns] = transposeB ? [b.at(-1)!, b.at(-2)!] : [b.at(-2)!, b.at(-1)!];
  if (depth >= 0 && depthB >= 0 && depth !== depthB) {
    throw invalid(node, `its input has ${depth} features but its weights have ${depthB}.`);
  }
  const batch = broadcast(node, a.slice(0, -2), b.slice(0, -2));
  return [...batch, rows, columns];
};

/** The letters of an Einsum's operands and of its result, `bij,bjk->bik`. */
export function einsumAxes(equation: string): { operands: string[]; result: string } {
  const [left, right] = equation.replaceAll(' ', '').split('->');
  const operands = left.split(',');
  if (right !== undefined) return { operands, result: right };
  // Without a result: the letters that come once, in the order of the alphabet.
  const letters = [...operands.join('')].sort();
  return {
    operands,
    result: letters.filter((c, i) => letters[i - 1] !== c && letters[i + 1] !== c).join(''),
  };
}

export const einsum: Rule = (node, known) => {
  const { operands, result } = einsumAxes(stringAttr(node, 'equation') ?? '');
  if (result === '' || result.includes('.')) return undefined;
  const sizes = new Map<string, number>();
  for (const [i, letters] of operands.entries()) {
    const shape = shapeOf(known, node.inputs[i]);
    if (shape?.length !== letters.length) continue;
    for (const [axis, letter] of [...letters].entries()) {
      if ((sizes.get(letter) ?? -1) < 0) sizes.set(letter, shape[axis]);
    }
  }
  return [...result].map((letter) => sizes.get(letter) ?? -1);
};

export const binary: Rule = (node, known) => {
  const a = shapeOf(known, node.inputs[0]);
  const b = shapeOf(known, node.inputs[1]);
  return a && b && broadcast(node, a, b);
};

export const sumOfAll: Rule = (node, known) => {
  const shapes = node.inputs.map((i) => shapeOf(known, i));
  return shapes.reduce((a, b) => a && b && broadcast(node, a, b));
};

/**
 * One of two tensors, element by element. TF.js broadcasts all three in `Select` too, which TensorFlow gives tensors of one
 * shape to choose from.
 */
export const select: Rule = (node, known) => {
  const [condition, a, b] = node.inputs.map((i) => shapeOf(known, i));
  if (condition && a && b) return broadcast(node, condition, broadcast(node, a, b));
  return node.op === 'Select' ? (a ?? b) : undefined;
};

export const reduction: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const axes = constantsOf(known, node.inputs[1]);
  if (!input || !axes) return undefined;
  const reduced = new Set(axes.map((a) => axisOf(a, input.length)));
  if (boolAttr(node, 'keep_dims')) return input.map((d, i) => (reduced.has(i) ? 1 : d));
  return input.filter((_, i) => !reduced.has(i));
};

/** The place of the largest or the smallest along an axis. */
export const argument: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const axis = constantsOf(known, node.inputs[1])?.[0] ?? numberAttr(node, 'dimension') ?? 0;
  return input?.toSpliced(axisOf(axis, input.length), 1);
};

/** RFFT keeps half of the last axis and one more. TF.js takes its length from the input, and reads no `fft_length`. */
export const realFourier: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const length = input?.at(-1) ?? -1;
  return input && input.length > 0 ? input.with(-1, length < 0 ? -1 : Math.floor(length / 2) + 1) : undefined;
};

/** IRFFT makes the last axis whole again, of an even length. All ranks but 3 become matrices in TF.js. */
export const inverseRealFourier: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  if (!input || input.length === 0) return undefined;
  const [outer, length] = [input.slice(0, -1), input.at(-1)!];
  const whole = length < 0 ? -1 : length <= 2 ? length : 2 * (length - 1);
  return [...(input.length === 3 ? outer : [outer.includes(-1) ? -1 : elements(outer)]), whole];
};

/** The axes of a tensor, or how many numbers it has, as a tensor. */
export const shapeVector: Rule = (node, known): Shape | undefined => {
  const shape = shapeOf(known, node.inputs[0]);
  return shape && [shape.length];
};
