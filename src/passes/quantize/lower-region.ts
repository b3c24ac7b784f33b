/** The program of one region of a plan: its inputs, its steps in order, its outputs. */
import { entryOf } from '../../base/entry-of';
import { refKey } from '../../graph/edit';
import type { TensorRef } from '../../graph/ir';
import type { Grid } from '../../program/program';
import type { Rotation } from '../../quantization/hadamard';
import type { Observations } from '../../quantization/observations';
import { linearKind } from '../linear-op';
import { Calibrated } from './lower/calibrated';
import { gainsByGrid } from './lower/grid-offset';
import { appendInput } from './lower/input';
import { ProgramBuilder } from './lower/program-builder';
import { appendLookup } from './lower/store';
import type { WeightOptions } from './lower/weight-options';
import { Ranges } from './plan/derived-ranges';
import type { QuantizationPlan } from './plan/plan';
import type { Region } from './plan/region';
import type { OpStep, Step } from './plan/steps';

type LowBit = WeightOptions['lowBit'];

function rotationOf(step: Step, lowBit: LowBit): Rotation | undefined {
  return step.kind === 'op' ? lowBit?.get(step.node.name)?.rotation : undefined;
}

/** Keys of tensors whose own codes a region reads, not only their rotated codes. */
function readAsCodes({ steps, outputs }: Region, lowBit: LowBit): Set<string> {
  const reads = steps.flatMap((step) => {
    if (step.kind === 'floatInOut') return [];
    if (step.kind === 'lookup') return [step.from];
    return rotationOf(step, lowBit) ? [] : step.quantizable.activations;
  });
  return new Set([...reads, ...outputs].map(refKey));
}

/** Layers add the offset of their input to their bias; a product of two activations cannot. */
function correctsOffset({ node, quantizable }: OpStep): boolean {
  return quantizable.kind === 'weighted' && linearKind(node) !== undefined;
}

/** The grid of an input's values, where its codes are read by layers only, which correct for the offset in their bias. */
function gridOf(
  { steps, sharedRanges }: Region,
  { graph, shapes }: QuantizationPlan,
  ref: TensorRef,
  { grids }: Observations,
  lowBit: LowBit,
): Grid | undefined {
  const key = refKey(ref);
  const grid = sharedRanges.has(key) ? undefined : grids?.get(key);
  const suits = (step: Step) => {
    if (step.kind === 'floatInOut') return true;
    if (step.kind === 'lookup') return refKey(step.from) !== key;
    const reads = step.quantizable.activations.some((read) => refKey(read) === key);
    if (!reads) return true;
    if (!correctsOffset(step) || lowBit?.has(step.node.name)) return false;
    const { shape } = entryOf(graph.constants, step.node.inputs[1].node);
    return gainsByGrid(grid!, step.node, shape, (of) => shapes.get(refKey(of)));
  };
  return grid && steps.every(suits) ? grid : undefined;
}

/** The program of one region, with its weights. */
export function lowerRegion(
  region: Region,
  plan: QuantizationPlan,
  observations: Observations,
  options?: WeightOptions,
): ProgramBuilder {
  const ranges = new Ranges(plan.graph, plan.shapes, observations.ranges);
  const calibrated = new Calibrated(observations, region.sharedRanges, (ref) => ranges.of(ref));
  const builder = new ProgramBuilder(plan.shapes, calibrated, options);
  const read = readAsCodes(region, options?.lowBit);
  for (const input of region.inputs) {
    const grid = gridOf(region, plan, input, observations, options?.lowBit);
    appendInput(builder, input, read.has(refKey(input)), grid);
  }
  for (const step of region.steps) {
    if (step.kind === 'lookup') appendLookup(builder, step.from, step.to, step.f);
    else if (step.kind === 'floatInOut') step.quantizable.lowerFloat(builder, step.result, step.form);
    else step.quantizable.lower(builder, step.store);
  }
  for (const ref of region.outputs) builder.output(ref);
  return builder;
}
