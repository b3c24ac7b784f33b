import { inferShapes } from '../../src/graph/infer-shapes';
import type { Matcher, Quantizable } from '../../src/passes/quantize/match/quantizable';
import { FloatGraph } from './float-graph';
import type { Random } from './random';

/** What a matcher makes of the node `op`, which reads `x` [-1, 6, 6, 4]. */
export function matchOp(
  matcher: Matcher,
  build: (graph: FloatGraph) => FloatGraph,
  random: Random,
): Quantizable | string | undefined {
  const graph = build(new FloatGraph(random).input('x', [-1, 6, 6, 4])).build('op');
  return matcher(graph.nodes.get('op')!, { graph, shapes: inferShapes(graph) });
}
