/** Loops that are written out, turn by turn. */
import { stringAttr } from './attrs';
import { refKey } from './edit';
import type { Graph, TensorRef } from './ir';

/** Attribute of the nodes of a turn: the name of the node that each is a copy of. */
export const COPY_OF = '_lowbit_copy_of';

/** A key that the copies of a tensor have in common. */
export function copiesKey({ nodes }: Pick<Graph, 'nodes'>, ref: TensorRef): string {
  const node = nodes.get(ref.node);
  const original = node && stringAttr(node, COPY_OF);
  return original === undefined ? refKey(ref) : `copies of ${refKey({ node: original, index: ref.index })}`;
}
