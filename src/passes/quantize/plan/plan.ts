/**
 * The plan of a quantization: which nodes go into which region, what each stores, and which tensors must be observed to
 * know the scales. Nodes that stay float have their reason here.
 */
import { inferShapes, type Shapes } from '../../../graph/infer-shapes';
import type { Graph } from '../../../graph/ir';
import type { ActivationPrecision } from '../match/quantizable';
import { findCandidates } from './candidates';
import { outlineRegions } from './outline';
import { planRegion, type Region } from './region';
import { RegionScope } from './region-scope';

export interface QuantizationPlan {
  readonly regions: readonly Region[];
  readonly shapes: Shapes;
  /** Why a node stays float, by name. */
  readonly float: ReadonlyMap<string, string>;
  /** Names of those of them that have a form in the program, but are in no region. */
  readonly outside: ReadonlySet<string>;
  /** Nodes with float32 input and output, by name, and how those that have weights multiply. */
  readonly precisions: ReadonlyMap<string, ActivationPrecision>;
}

export interface PlanOptions {
  /** Nodes to leave in float, each with the reason. */
  readonly float?: ReadonlyMap<string, string>;
  /** Nodes that get float32 input and output, where they have such a form. */
  readonly precisions?: ReadonlyMap<string, ActivationPrecision>;
  /** Plans regions without weights too. They gain no speed, and show what such ops cost in accuracy. */
  readonly weightless?: boolean;
}

/** Plans the quantization of an optimized graph, without any data. */
export function planQuantization(graph: Graph, options: PlanOptions = {}): QuantizationPlan {
  const shapes = inferShapes(graph);
  const { candidates, float } = findCandidates(graph, shapes, options.float);
  const { regions, leftOut, precisions } = outlineRegions(graph, candidates, options);
  const inRegions = new Set(regions.flat().map(({ name }) => name));
  return {
    regions: regions.map((nodes) => planRegion(new RegionScope(graph, nodes, candidates, precisions))),
    shapes,
    float: new Map([...float, ...leftOut]),
    outside: new Set(leftOut.keys()),
    precisions: new Map([...precisions].filter(([name]) => inRegions.has(name))),
  };
}

/** Why nodes stay float in every plan of the graph: a node outside of regions may be in one when precisions change. */
export function floatAnyway({ float, outside }: QuantizationPlan): Map<string, string> {
  return new Map([...float].filter(([name]) => !outside.has(name)));
}
