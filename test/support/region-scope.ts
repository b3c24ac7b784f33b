import { inferShapes } from '../../src/graph/infer-shapes';
import type { Graph } from '../../src/graph/ir';
import type { ActivationPrecision } from '../../src/passes/quantize/match/quantizable';
import { findCandidates } from '../../src/passes/quantize/plan/candidates';
import { outlineRegions } from '../../src/passes/quantize/plan/outline';
import { RegionScope } from '../../src/passes/quantize/plan/region-scope';

/** The first region of a graph, before it is planned. */
export function scopeOf(
  graph: Graph,
  requested: ReadonlyMap<string, ActivationPrecision> = new Map(),
): RegionScope {
  const { candidates } = findCandidates(graph, inferShapes(graph));
  const { regions, precisions } = outlineRegions(graph, candidates, { precisions: requested });
  return new RegionScope(graph, regions[0], candidates, precisions);
}
