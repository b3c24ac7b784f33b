/**
 * Shapes across branches, loops and lists of tensors. What a loop carries is first taken to keep the shape that it has
 * when the loop starts; `inferShapes` goes over the graph again where a turn gives another one.
 */
import { numberAttr, parseShape, shapeAttr } from '../attrs';
import { refKey } from '../edit';
import type { GraphNode, TensorRef } from '../ir';
import {
  join,
  type Known,
  type ManyRule,
  type Rule,
  type Shape,
  shapeOf,
  sizesOf,
  type TensorList,
  valuesOf,
} from './known';

/** The branch that ran, and which it was. */
export const merge: ManyRule = (node, known) => {
  const shapes = node.inputs.filter(({ node: name }) => known.shapes.has(`${name}:0`));
  const [first, ...others] = shapes.map((ref) => shapeOf(known, ref));
  return [others.reduce((a, b) => join(a, b), first), []];
};

/** Both branches read the one input. */
export const branches: ManyRule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  return [input, input];
};

/** Ops that call functions say what these return. */
export const called: ManyRule = (node) => {
  const { shape } = (node.attrs.output_shapes?.list ?? {}) as { shape?: unknown };
  return Array.isArray(shape) ? shape.map(parseShape) : [undefined];
};

/** An element's shape as an op is given it: absent where the rank is left open. */
function givenElement(known: Known, ref: TensorRef | undefined): Shape | undefined {
  const values = valuesOf(known, ref);
  return values && shapeOf(known, ref)?.length === 1 ? sizesOf(values) : undefined;
}

/** The more that either tells of a tensor that both describe. */
function refined(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (!a || !b || a.length !== b.length) return a ?? b;
  return a.map((d, i) => (d < 0 ? b[i] : d));
}

function listOf(known: Known, ref: TensorRef | undefined): TensorList | undefined {
  return ref && known.lists.get(refKey(ref));
}

export const listElement: Rule = (node, known) =>
  refined(givenElement(known, node.inputs[2]), listOf(known, node.inputs[0])?.element);

export const listStack: Rule = (node, known) => {
  const list = listOf(known, node.inputs[0]);
  const element = refined(givenElement(known, node.inputs[1]), list?.element);
  const count = numberAttr(node, 'num_elements') ?? -1;
  return element && [count >= 0 ? count : (list?.length ?? -1), ...element];
};

/** TF.js looks up no more elements of a list than it has, though indices may name some twice. */
function chosen(indices: Shape | undefined, list: TensorList | undefined): number {
  const [count, length] = [indices?.[0] ?? -1, list?.length ?? -1];
  return count >= 0 && length >= 0 ? Math.min(count, length) : count;
}

/** Chosen elements, one after the other. */
export const listGather: Rule = (node, known) => {
  const list = listOf(known, node.inputs[0]);
  const element = refined(givenElement(known, node.inputs[2]), list?.element);
  return element && [chosen(shapeOf(known, node.inputs[1]), list), ...element];
};

export const arrayElement: Rule = (node, known) => listOf(known, node.inputs[2])?.element;

export const arrayGather: Rule = (node, known) => {
  const list = listOf(known, node.inputs[2]);
  const element = refined(shapeAttr(node, 'element_shape'), list?.element);
  const indices = shapeOf(known, node.inputs[1]);
  return element && [indices ? chosen(indices, list) : (list?.length ?? -1), ...element];
};

/** A handle, and what orders the ops on it; lists of TF.js are handled by scalars. */
export const handle: ManyRule = () => [[], []];

function written(
  list: TensorList | undefined,
  element: Shape | undefined,
  length?: number,
): TensorList | undefined {
  if (!list || !element) return undefined;
  return { element: list.element ? join(list.element, element) : element, length: length ?? list.length };
}

function joinLists(a: TensorList | undefined, b: TensorList | undefined): TensorList | undefined {
  if (!a || !b) return undefined;
  const element = a.element && b.element ? join(a.element, b.element) : (a.element ?? b.element);
  if (a.element && b.element && !element) return undefined;
  return { ...(element && { element }), length: a.length === b.length ? a.length : -1 };
}

/** What the lists behind a node's outputs hold, by output. */
export function inferLists(node: GraphNode, known: Known): readonly (TensorList | undefined)[] {
  const [first, second, third, fourth] = node.inputs;
  const list = listOf(known, first);
  const sizeIn = (ref: TensorRef | undefined) => sizesOf([valuesOf(known, ref)?.[0] ?? Number.NaN])[0];
  switch (node.op) {
    case 'TensorListReserve':
      return [{ element: givenElement(known, first), length: sizeIn(second) }];
    case 'EmptyTensorList':
      return [{ element: givenElement(known, first), length: 0 }];
    case 'TensorListFromTensor': {
      const shape = shapeOf(known, first);
      return [shape && { element: shape.slice(1), length: shape[0] }];
    }
    case 'TensorListSetItem':
      return [written(list, shapeOf(known, third))];
    case 'TensorListPushBack':
      return [written(list, shapeOf(known, second), -1)];
    case 'TensorArrayV3': {
      const array = { element: shapeAttr(node, 'element_shape'), length: sizeIn(first) };
      return [array, array];
    }
    case 'TensorArrayWriteV3':
      return [written(listOf(known, fourth), shapeOf(known, third))];
    case 'TensorArrayScatterV3': {
      const shape = shapeOf(known, third);
      return [written(listOf(known, fourth), shape?.slice(1))];
    }
    case 'Switch':
      return [list, list];
    case 'Merge':
      return [
        node.inputs
          .filter((i) => known.shapes.has(refKey(i)))
          .map((i) => listOf(known, i))
          .reduce(joinLists),
      ];
    case 'Identity':
    case 'Enter':
    case 'Exit':
    case 'NextIteration':
      return [list];
    default:
      return [];
  }
}

/** Whether two lists tell the same. */
export function sameList(a: TensorList | undefined, b: TensorList | undefined): boolean {
  return a?.length === b?.length && a?.element?.join() === b?.element?.join() && !a?.element === !b?.element;
}

export const scalar: Rule = () => [];
