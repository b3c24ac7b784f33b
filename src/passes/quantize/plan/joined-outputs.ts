/**
 * Concatenations that leave a region are computed on float32: each part keeps its own scale, or is stored as float32 at
 * once. With one scale for scores and boxes, say, the scores would all be one code.
 */
import type { GraphNode } from '../../../graph/ir';
import type { Quantizable } from '../match/quantizable';
import { type Candidates, opOf } from './candidates';
import type { Readers } from './outline';

const MOVES: ReadonlySet<Quantizable['kind']> = new Set(['reshape', 'layout']);

/** Whether a node only moves what a concatenation joins. */
function movesConcat(candidates: Candidates, name: string): boolean {
  let candidate = candidates.get(name);
  if (!candidate || !MOVES.has(candidate.kind)) return false;
  while (candidate && MOVES.has(candidate.kind)) candidate = candidates.get(candidate.activations[0].node);
  return candidate?.kind === 'concat';
}

/**
 * @param region in topological order
 * @param outputs names of the nodes whose results leave it
 * @returns names of the concatenations, those of which parts are joined first included, and of what moves these
 */
export function joinedOutputs(
  region: readonly GraphNode[],
  outputs: ReadonlySet<string>,
  candidates: Candidates,
  readers: Readers,
): Set<string> {
  const inside = new Set(region.map(({ name }) => name));
  const found = new Set<string>();
  const ends = (reader: string) =>
    found.has(reader) ||
    (inside.has(reader) && outputs.has(reader) && candidates.get(reader)?.kind === 'softmax');
  for (const { name } of region.toReversed()) {
    const reads = (readers.get(name) ?? []).map((reader) => reader.name);
    const joins = candidates.get(name)?.kind === 'concat';
    const leads = joins ? reads.some(ends) : reads.length > 0 && reads.every(ends);
    if (joins && (outputs.has(name) || leads)) found.add(name);
    else if (leads && movesConcat(candidates, name) && opOf(candidates, name).lowerFloat) found.add(name);
  }
  return found;
}
