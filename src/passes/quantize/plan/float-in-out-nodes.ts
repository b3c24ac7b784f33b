/**
 * Which nodes get float32 input and output when some layers get int16 or dynamic activations: the layers themselves, and
 * the nodes that compute their inputs, or these would be rounded to int8 codes on the way.
 */
import { output, refKey } from '../../../graph/edit';
import type { Graph } from '../../../graph/ir';
import type { ActivationPrecision } from '../match/quantizable';
import { capabilitiesOf } from './capabilities';
import { type Layer, layerOf } from './layers';
import type { QuantizationPlan } from './plan';
import type { Step } from './steps';

/** The nodes of a layer that need float32 input and output so that its result is stored as float32. */
function floatPart({ name, nodes }: Layer, step: Step): string[] {
  if (step.kind !== 'op') return [...nodes];
  const { quantizable, store } = step;
  const plain = !store.fused || store.fused.clamp !== undefined;
  if (capabilitiesOf(quantizable).storesFloat32 === 'never') return [...nodes];
  return plain ? [] : [...nodes].filter((node) => node !== name);
}

/**
 * @param plan everything in INT8
 * @param layers by name
 * @returns nodes by name; one that serves several layers takes the precision that the first of them has
 */
export function floatInOutNodes(
  graph: Graph,
  plan: QuantizationPlan,
  layers: ReadonlyMap<string, ActivationPrecision>,
): Map<string, ActivationPrecision> {
  const steps = plan.regions.flatMap((region) => region.steps);
  const all = steps.map((step) => ({ step, layer: layerOf(graph, step) }));
  const byName = new Map(all.map((entry) => [entry.layer.name, entry]));
  const byResult = new Map(all.map((entry) => [refKey(entry.layer.result), entry]));
  const nodes = new Map<string, ActivationPrecision>();
  for (const [name, precision] of layers) {
    for (const node of byName.get(name)?.layer.nodes ?? []) nodes.set(node, precision);
  }
  for (const [name, precision] of layers) {
    const entry = byName.get(name);
    if (!entry) continue;
    const reads = entry.step.kind === 'lookup' ? [entry.step.from] : entry.step.quantizable.activations;
    for (const ref of reads) {
      const producer = byResult.get(refKey(ref)) ?? byResult.get(refKey(output(ref.node)));
      for (const node of producer ? floatPart(producer.layer, producer.step) : []) {
        if (!nodes.has(node)) nodes.set(node, precision);
      }
    }
  }
  return nodes;
}
