/** The parts of an output that joins several tensors, boxes and scores for example. */
import { refKey } from '../graph/edit';
import type { Shapes } from '../graph/infer-shapes';
import type { Graph, SignatureEntry } from '../graph/ir';

const CONCATS: ReadonlySet<string> = new Set(['ConcatV2', 'Concat']);
const RENAMES: ReadonlySet<string> = new Set(['Identity', 'StopGradient']);

export interface Part {
  /** The node that computes it. */
  readonly name: string;
  /** Whether an element of the output belongs to it. */
  holds(index: number): boolean;
}

/** The tensors that an output joins. */
export function partsOf(
  graph: Graph,
  shapes: Shapes,
  { ref }: Pick<SignatureEntry, 'ref'>,
  rank: number,
  length: number,
): Part[] {
  let node = graph.nodes.get(ref.node);
  while (node && RENAMES.has(node.op)) node = graph.nodes.get(node.inputs[0].node);
  if (!node || !CONCATS.has(node.op)) return [];
  const inputs = node.op === 'Concat' ? node.inputs.slice(1) : node.inputs.slice(0, -1);
  const axisRef = node.op === 'Concat' ? node.inputs[0] : node.inputs.at(-1)!;
  const given = graph.constants.get(axisRef.node)?.values[0];
  if (given === undefined) return [];
  const axis = given < 0 ? given + rank : given;
  const dims = inputs.map((input) => shapes.get(refKey(input)));
  const sizes = dims.map((shape) => shape?.[axis] ?? -1);
  const inner = (dims[0] ?? []).slice(axis + 1).reduce((product, d) => product * d, 1);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const known = sizes.every((size) => size > 0) && inner > 0 && length % (total * inner) === 0;
  if (!known || inputs.length < 2) return [];
  let start = 0;
  return inputs.map((input, i) => {
    const [from, to] = [start, start + sizes[i]];
    start = to;
    const holds = (index: number) => {
      const at = Math.floor(index / inner) % total;
      return at >= from && at < to;
    };
    return { name: input.node, holds };
  });
}
