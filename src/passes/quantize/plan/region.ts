import { refKey } from '../../../graph/edit';
import type { GraphNode, TensorRef } from '../../../graph/ir';
import { findDemands, findFusions } from './demands';
import type { RegionScope } from './region-scope';
import { orderSteps, type Step, shareRanges } from './steps';
import { storedAsFloat32 } from './storage';

/** Nodes that run together as one program. */
export interface Region {
  readonly nodes: readonly GraphNode[];
  readonly inputs: readonly TensorRef[];
  readonly outputs: readonly TensorRef[];
  readonly steps: readonly Step[];
  /** Tensors whose ranges the program needs. */
  readonly observed: readonly TensorRef[];
  /** Tensors, by key, that take the range of another one. */
  readonly sharedRanges: ReadonlyMap<string, TensorRef>;
}

/** What a step computes: its result, and the argument of a function that is fused into it. */
function computedBy(step: Step): readonly TensorRef[] {
  if (step.kind === 'lookup') return [step.to];
  if (step.kind === 'floatInOut') return [step.result];
  const { result, fused } = step.store;
  return fused ? [result, fused.before] : [result];
}

export function planRegion(scope: RegionScope): Region {
  const demands = findDemands(scope);
  const fused = findFusions(scope, demands);
  const floats = storedAsFloat32(scope, demands, fused);
  const steps = orderSteps(scope, { demands, fused, floats });
  const inputs = [...demands.needed.values()].map(({ ref }) => ref).filter((ref) => !scope.contains(ref));
  const observed = new Map([...inputs, ...steps.flatMap(computedBy)].map((ref) => [refKey(ref), ref]));
  return {
    nodes: scope.nodes,
    inputs,
    outputs: scope.outputs,
    steps,
    observed: [...observed.values()],
    sharedRanges: shareRanges(scope, demands, steps),
  };
}
