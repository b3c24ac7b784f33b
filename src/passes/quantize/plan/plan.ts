/**
 * The plan of a quantization: which nodes go into which region, what each stores, and which tensors must be observed to
 * know the scales. Nodes that stay float have their reason here.
 */
import { consumers, outputNodes } from '../../../graph/edit';
import { inferShapes, type Shapes } from '../../../graph/infer-shapes';
import type { Graph } from '../../../graph/ir';
import type { Table } from '../../weight-only/find';
import type { ActivationPrecision, Quantizable } from '../match/quantizable';
import { nodesBeforeLogarithm, PRECEDES_LOGARITHM } from './before-logarithm';
import { findCandidates } from './candidates';
import { joinedOutputs } from './joined-outputs';
import { findMasks, type Masks } from './masks';
import { multiplies, outlineRegions, regionOutputs, whyNot } from './outline';
import { planRegion, type Region } from './region';
import { RegionScope } from './region-scope';
import { findTables } from './tables';

export interface QuantizationPlan {
  /** What is planned. */
  readonly graph: Graph;
  readonly regions: readonly Region[];
  /** Tables whose rows are stored in INT8 or fewer bits, by the node that looks them up. */
  readonly tables: ReadonlyMap<string, Table>;
  readonly shapes: Shapes;
  /** Why a node stays float, by name. */
  readonly float: ReadonlyMap<string, string>;
  /** Names of those of them that have a form in the program, but are in no region. */
  readonly outside: ReadonlySet<string>;
  /** Nodes with float32 input and output, by name, and how those that have weights multiply. */
  readonly precisions: ReadonlyMap<string, ActivationPrecision>;
  /** Why a node that multiplies does not have the precision that was requested of it, and stays in INT8, by name. */
  readonly refused: ReadonlyMap<string, string>;
}

export interface PlanOptions {
  /** Nodes to leave in float, each with the reason. */
  readonly float?: ReadonlyMap<string, string>;
  /** Nodes that get float32 input and output, where they have such a form. */
  readonly precisions?: ReadonlyMap<string, ActivationPrecision>;
  /** Plans regions without weights too. They gain no speed, and show what such ops cost in accuracy. */
  readonly weightless?: boolean;
}

const HOLDS_MASK = 'it computes with a mask, which has no place among 256 codes';

/**
 * Gives the nodes that compute with masks float32 input and output, where they have such a form; the others are left in
 * float. A softmax reads float32 where there is any; layers and products read no masks.
 */
function keepMasksInFloat(
  { onFloat32 }: Masks,
  candidates: Map<string, Quantizable>,
  float: Map<string, string>,
): Map<string, ActivationPrecision> {
  const precisions = new Map<string, ActivationPrecision>();
  for (const name of onFloat32) {
    const candidate = candidates.get(name);
    if (!candidate || candidate.kind === 'softmax' || multiplies(candidate)) continue;
    if (candidate.lowerFloat) {
      precisions.set(name, 'dynamic');
    } else {
      candidates.delete(name);
      float.set(name, HOLDS_MASK);
    }
  }
  return precisions;
}

/** Gives what a logarithm is computed of int16 activations; what has no such form is left in float. */
function keepRelativePrecision(
  graph: Graph,
  candidates: Map<string, Quantizable>,
  float: Map<string, string>,
): Map<string, ActivationPrecision> {
  const precisions = new Map<string, ActivationPrecision>();
  for (const name of nodesBeforeLogarithm(graph)) {
    const candidate = candidates.get(name);
    if (!candidate) continue;
    if (candidate.kind !== 'matrixProduct' && whyNot(candidate, 'int16') === undefined) {
      precisions.set(name, 'int16');
    } else {
      candidates.delete(name);
      float.set(name, PRECEDES_LOGARITHM);
    }
  }
  return precisions;
}

/** The engine has no int16 form of it: float32 is as accurate. */
export const PRODUCT_IN_INT16 = 'a product of two activations has no int16 form: computed in float32';

/** Plans the quantization of an optimized graph, without any data. */
export function planQuantization(graph: Graph, options: PlanOptions = {}): QuantizationPlan {
  const shapes = inferShapes(graph);
  const masks = findMasks(graph, options.float);
  const readers = consumers(graph);
  const { candidates, float } = findCandidates(graph, shapes, options.float, masks);
  for (const [name, precision] of options.precisions ?? []) {
    if (precision !== 'int16' || candidates.get(name)?.kind !== 'matrixProduct') continue;
    candidates.delete(name);
    float.set(name, PRODUCT_IN_INT16);
  }
  const onFloat32 = keepMasksInFloat(masks, candidates, float);
  const ofLogarithms = keepRelativePrecision(graph, candidates, float);
  const { regions, leftOut, precisions, refused } = outlineRegions(graph, candidates, {
    ...options,
    precisions: new Map([...onFloat32, ...(options.precisions ?? []), ...ofLogarithms]),
  });
  const outputs = outputNodes(graph);
  const joined = regions.flatMap((nodes) => {
    // Where a layer is planned alone, its result leaves the region wherever it goes in the model.
    const leaving = options.weightless
      ? nodes.filter(({ name }) => outputs.has(name))
      : regionOutputs(outputs, readers, nodes);
    return [...joinedOutputs(nodes, new Set(leaving.map(({ name }) => name)), candidates, readers)];
  });
  const floatInOut = new Map<string, ActivationPrecision>(precisions);
  for (const name of joined) if (!floatInOut.has(name)) floatInOut.set(name, 'dynamic');
  const isRequested = (name: string) =>
    options.precisions?.has(name) || ofLogarithms.has(name) || !onFloat32.has(name);
  const inRegions = new Set(regions.flat().map(({ name }) => name));
  const lookups = findTables(graph, shapes, options.float);
  const inFloat = [...float, ...leftOut, ...lookups.float].filter(([name]) => !lookups.tables.has(name));
  return {
    graph,
    regions: regions.map((nodes) =>
      planRegion(new RegionScope(graph, nodes, candidates, floatInOut, readers)),
    ),
    tables: lookups.tables,
    shapes,
    float: new Map(inFloat),
    outside: new Set(leftOut.keys()),
    precisions: new Map([...precisions].filter(([name]) => inRegions.has(name) && isRequested(name))),
    refused,
  };
}

/** Why nodes stay float in every plan of the graph: a node outside of regions may be in one when precisions change. */
export function floatAnyway({ float, outside }: QuantizationPlan): Map<string, string> {
  return new Map([...float].filter(([name]) => !outside.has(name)));
}
