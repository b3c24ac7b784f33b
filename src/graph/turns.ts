/** Loops that are written out, turn by turn. */
import { attr, stringAttr } from './attrs';
import { refKey } from './edit';
import type { Graph, GraphNode, RawAttr, TensorRef } from './ir';

/** Attribute of the nodes of a turn: the name of the node that each is a copy of. */
const COPY_OF = '_lowbit_copy_of';

/** A key that the copies of a tensor have in common. */
export function copiesKey({ nodes }: Pick<Graph, 'nodes'>, ref: TensorRef): string {
  const node = nodes.get(ref.node);
  const original = node && stringAttr(node, COPY_OF);
  return original === undefined ? refKey(ref) : `copies of ${refKey({ node: original, index: ref.index })}`;
}

/** Things that are the same in every turn, by the one of them in the middle; others are alone. */
export function groupCopies<T>(
  graph: Pick<Graph, 'nodes'>,
  all: readonly T[],
  refOf: (each: T) => TensorRef,
): Map<T, readonly T[]> {
  const copies = new Map<string, T[]>();
  for (const each of all) {
    const key = copiesKey(graph, refOf(each));
    const others = copies.get(key);
    if (others) others.push(each);
    else copies.set(key, [each]);
  }
  return new Map([...copies.values()].map((group) => [group[group.length >> 1], group]));
}

/** The attribute that makes a node a copy of another. */
export function copyOf(original: string): Record<string, RawAttr> {
  return { [COPY_OF]: attr.string(original) };
}

/** The same for a part that a node is made of, if the node is a copy. */
export function copyOfPart(node: GraphNode, part: string): Record<string, RawAttr> {
  const original = stringAttr(node, COPY_OF);
  return original === undefined ? {} : copyOf(`${original}/${part}`);
}
