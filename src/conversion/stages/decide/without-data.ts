/** Plans without calibration data: scales are computed when the model runs, and what needs a known range stays float. */
import { refKey } from '../../../graph/edit';
import type { Graph } from '../../../graph/ir';
import type { ActivationPrecision } from '../../../passes/quantize/match/quantizable';
import { nodesBeforeLogarithm, PRECEDES_LOGARITHM } from '../../../passes/quantize/plan/before-logarithm';
import { floatInOutNodes } from '../../../passes/quantize/plan/float-in-out-nodes';
import { layerOf, layersOf } from '../../../passes/quantize/plan/layers';
import { floatAnyway, planQuantization, type QuantizationPlan } from '../../../passes/quantize/plan/plan';
import { FLOAT_WITHOUT_DATA } from '../../float-reasons';
import type { WeightPlan } from '../../stage-results';

/** Nodes of the layers that are the first to compute codes, whose range nobody knows. */
function needRanges(graph: Graph, { regions }: QuantizationPlan): string[] {
  const layers = regions.flatMap(({ steps }) =>
    steps.flatMap((step) => (step.kind === 'floatInOut' ? [] : [layerOf(graph, step)])),
  );
  const codes = new Set(layers.map(({ result }) => refKey(result)));
  const first = layers.filter(({ activations }) => !activations.some((ref) => codes.has(refKey(ref))));
  return first.flatMap(({ nodes }) => [...nodes]);
}

/** @param precisions of layers; those without one get dynamic activations */
export function planWithoutData(
  { graph, plan: everything }: WeightPlan,
  precisions: ReadonlyMap<string, ActivationPrecision>,
): { plan: QuantizationPlan; precisions: ReadonlyMap<string, ActivationPrecision> } {
  const layers = layersOf(graph, everything).map(({ name }) => name);
  const all = new Map(layers.map((name) => [name, precisions.get(name) ?? ('dynamic' as const)]));
  const nodes = floatInOutNodes(graph, everything, all);
  const beforeLogarithms = [...nodesBeforeLogarithm(graph)].map(
    (name) => [name, PRECEDES_LOGARITHM] as const,
  );
  const float = new Map([...beforeLogarithms, ...floatAnyway(everything)]);
  while (true) {
    const plan = planQuantization(graph, { float, precisions: nodes });
    const wanting = needRanges(graph, plan);
    if (wanting.length === 0) return { plan, precisions: all };
    for (const node of wanting) float.set(node, FLOAT_WITHOUT_DATA);
  }
}
