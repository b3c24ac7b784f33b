/** Third step of planning a region: its steps in order, and which tensors share a range. */
import { entryOf } from '../../../base/entry-of';
import { output, refKey } from '../../../graph/edit';
import type { Graph, GraphNode, TensorRef } from '../../../graph/ir';
import type { Store } from '../lower/store';
import type { FloatCapable, FloatForm, Quantizable, QuantizableOp } from '../match/quantizable';
import { floatFormOf, opOf } from './candidates';
import { clampedInput, type Demand, type Demands } from './demands';
import type { RegionScope } from './region-scope';

/** An op on codes, with the function that is fused into its store. */
export interface OpStep {
  readonly kind: 'op';
  readonly node: GraphNode;
  readonly quantizable: QuantizableOp;
  readonly store: Store;
}

/** A table: a function of the codes of another tensor. */
export interface LookupStep {
  readonly kind: 'lookup';
  readonly from: TensorRef;
  readonly to: TensorRef;
  readonly f: (x: number) => number;
}

/** A node with float32 input and output, for a layer with int16 or dynamic activations. */
export interface FloatInOutStep {
  readonly kind: 'floatInOut';
  readonly node: GraphNode;
  readonly quantizable: FloatCapable;
  readonly result: TensorRef;
  readonly form: FloatForm;
}

export type Step = OpStep | LookupStep | FloatInOutStep;

/** What the steps before found. */
interface Decisions {
  readonly demands: Demands;
  /** Keys of tensors that are not stored. */
  readonly fused: ReadonlySet<string>;
  /** Keys of tensors that are stored as float32. */
  readonly floats: ReadonlySet<string>;
}

/** The node that a step is named after: a layer's own, where a scale and shift after it is fused. */
function nodeOf(graph: Graph, name: string, quantizable: Quantizable): GraphNode {
  const layerNode = quantizable.kind === 'weighted' ? quantizable.layerNode : undefined;
  return layerNode ?? entryOf(graph.nodes, name);
}

function floatInOutStep(scope: RegionScope, ref: TensorRef, fused: ReadonlySet<string>): FloatInOutStep {
  const { graph, candidates, precisions } = scope;
  const clamped = clampedInput(scope, ref);
  const fusesClamp = clamped !== undefined && fused.has(refKey(clamped));
  const own = fusesClamp ? clamped.node : ref.node;
  const reader = scope.quantizable(ref);
  const clamp = fusesClamp && reader.kind === 'pointwise' ? reader.clamp : undefined;
  const quantizable = floatFormOf(candidates, own);
  return {
    kind: 'floatInOut',
    node: nodeOf(graph, own, quantizable),
    quantizable,
    result: ref,
    form: { precision: entryOf(precisions, own), ...(clamp && { clamp }) },
  };
}

function opStep({ graph, candidates }: RegionScope, { ref, chain }: Demand, float: boolean): OpStep {
  const own = chain ? chain.root.node : ref.node;
  const quantizable = opOf(candidates, own);
  const fused = chain && { before: chain.root, f: chain.f, clamp: chain.clamp };
  return {
    kind: 'op',
    node: nodeOf(graph, own, quantizable),
    quantizable,
    store: { result: ref, float, ...(fused && { fused }) },
  };
}

/** The steps of a region in topological order, one for each tensor that is stored. */
export function orderSteps(scope: RegionScope, { demands, fused, floats }: Decisions): Step[] {
  const steps: Step[] = [];
  for (const { name } of scope.nodes) {
    const key = refKey(output(name));
    const demand = demands.needed.get(key);
    if (!demand || fused.has(key)) continue;
    const { ref, chain } = demand;
    if (scope.isFloatInOut(ref)) steps.push(floatInOutStep(scope, ref, fused));
    else if (chain && !fused.has(refKey(chain.root)))
      steps.push({ kind: 'lookup', from: chain.root, to: ref, f: chain.f });
    else steps.push(opStep(scope, demand, floats.has(key)));
  }
  return steps;
}

/**
 * What a concatenation alone reads takes the range of its result from the start: rounding twice on the way to it would
 * cost accuracy and time.
 *
 * @returns by key, the tensor whose range another one takes
 */
export function shareRanges(
  scope: RegionScope,
  { readers }: Demands,
  steps: readonly Step[],
): ReadonlyMap<string, TensorRef> {
  const shared = new Map<string, TensorRef>();
  for (const step of steps.toReversed()) {
    if (step.kind !== 'op' || step.quantizable.kind !== 'concat') continue;
    const { result } = step.store;
    for (const part of step.quantizable.activations) {
      if (readers.get(refKey(part))?.length !== 1 || scope.leaves(part)) continue;
      shared.set(refKey(part), shared.get(refKey(result)) ?? result);
    }
  }
  return shared;
}
