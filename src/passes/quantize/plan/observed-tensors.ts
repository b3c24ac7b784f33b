import type { Rotation } from '../../../quantization/hadamard';
import { type ObservedTensor, observedKey } from '../../../quantization/observations';
import type { QuantizationPlan } from './plan';

/**
 * Every tensor that must be observed before a plan can be carried out.
 *
 * @param rotations of the inputs of layers, by node
 */
export function observedTensors(
  plan: QuantizationPlan,
  rotations: ReadonlyMap<string, Rotation | undefined> = new Map(),
): ObservedTensor[] {
  const tensors = new Map<string, ObservedTensor>();
  const observe = (tensor: ObservedTensor) => {
    const key = observedKey(tensor);
    tensors.set(key, { ...tensors.get(key), ...tensor });
  };
  for (const region of plan.regions) {
    for (const ref of region.observed) observe({ ref });
    for (const step of region.steps) {
      if (step.kind === 'lookup' || step.quantizable.kind !== 'weighted') continue;
      const [ref] = step.quantizable.activations;
      const squares = rotations.has(step.node.name);
      const rotation = rotations.get(step.node.name);
      observe({ ref, means: true, ...(squares && { squares }) });
      if (rotation) observe({ ref, rotation, means: true, squares });
    }
  }
  return [...tensors.values()];
}
