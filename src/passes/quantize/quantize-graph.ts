/**
 * Quantization: every planned region becomes one node that runs a program.
 *
 * A region's node reads the region's float32 inputs and two int32 constants, the program and its weights. Outputs of
 * the model keep their names through an Identity each: TF.js confuses two signature outputs of one node.
 */

import { attr } from '../../graph/attrs';
import { GraphEditor, output, outputNodes, refKey } from '../../graph/edit';
import type { Graph, TensorRef } from '../../graph/ir';
import { encodeProgram, type Grid, type Program } from '../../program/program';
import type { Rotation } from '../../quantization/hadamard';
import { type Observations, type ObservedTensor, observedKey } from '../../quantization/observations';
import { linearKind } from '../linear-op';
import { removeDeadNodes } from '../remove-dead-nodes';
import { expandProgram } from './emit/expand-program';
import { ProgramBuilder, type WeightOptions } from './lower/program-builder';
import type { QuantizationPlan, Region, Step } from './plan/plan';

type LowBit = WeightOptions['lowBit'];

function rotationOf(step: Step, lowBit: LowBit): Rotation | undefined {
  return step.kind === 'op' ? lowBit?.get(step.node.name)?.rotation : undefined;
}

/** Keys of tensors that a region reads as codes of themselves, not rotated. */
function readAsCodes({ steps, outputs }: Region, lowBit: LowBit): Set<string> {
  const reads = steps.flatMap((step) => {
    if (step.kind === 'floatInOut') return [];
    if (step.kind === 'lookup') return [step.from];
    return rotationOf(step, lowBit) ? [] : step.quantizable.activations;
  });
  return new Set([...reads, ...outputs].map(refKey));
}

/** The grid of an input's values, where only layers that can make up for the offset of its codes read them. */
function gridOf(
  { steps, sharedRanges }: Region,
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
    return !reads || (linearKind(step.node) !== undefined && !lowBit?.has(step.node.name));
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
  const builder = new ProgramBuilder(plan.shapes, observations, region.sharedRanges, options);
  const read = readAsCodes(region, options?.lowBit);
  for (const input of region.inputs) {
    const grid = gridOf(region, input, observations, options?.lowBit);
    builder.input(input, read.has(refKey(input)), grid);
  }
  for (const step of region.steps) {
    if (step.kind === 'lookup') builder.lookup(step.from, step.to, step.f);
    else if (step.kind === 'floatInOut') step.quantizable.lowerFloat!(builder, step.result, step.form);
    else step.quantizable.lower!(builder, step.store);
  }
  for (const ref of region.outputs) builder.output(ref);
  return builder;
}

/** One node for a whole program, reading two constants beside the inputs: the program's words and its weights. */
function regionNode(
  editor: GraphEditor,
  program: Program,
  weights: Int32Array,
  inputs: readonly TensorRef[],
  region: string,
): TensorRef[] {
  const name = editor.freeName(region);
  const constant = (what: string, values: Int32Array) =>
    editor.addConstant(`${name}/${what}`, { dtype: 'int32', shape: [values.length], values });
  const constants = [constant('program', encodeProgram(program)), constant('weights', weights)];
  editor.setNode({ name, op: 'QuantizedRegion', inputs: [...inputs, ...constants], attrs: {} });
  return program.outputs.map((_, index) => output(name, index));
}

/**
 * Makes a region's readers read its node instead, and takes its own nodes away.
 *
 * @returns where the region's outputs are now
 */
function replaceRegion(
  editor: GraphEditor,
  kept: ReadonlySet<string>,
  region: Region,
  results: readonly TensorRef[],
): [string, TensorRef][] {
  for (const node of region.nodes) editor.remove(node.name);
  const moved: [string, TensorRef][] = [];
  region.outputs.forEach((ref, index) => {
    const to = results[index];
    if (kept.has(ref.node)) {
      editor.setNode({ name: ref.node, op: 'Identity', inputs: [to], attrs: { T: attr.dtype('float32') } });
    } else {
      editor.replaceUses(ref, to);
      moved.push([refKey(ref), to]);
    }
  });
  return moved;
}

export interface QuantizedGraph {
  readonly graph: Graph;
  /** Signal-to-noise of the quantized weights, in dB, by weighted node. */
  readonly weightFidelity: ReadonlyMap<string, number>;
}

export interface QuantizeOptions extends WeightOptions {
  /** One node a region (default), or (false) one a quantized op, where no layer of the region reads real values. */
  readonly regions?: boolean;
}

/**
 * Lowers the regions of a plan.
 *
 * @param observations range of every tensor that the plan's regions observe, channel means of those that weights multiply
 */
export function quantizeGraph(
  graph: Graph,
  plan: QuantizationPlan,
  observations: Observations,
  options: QuantizeOptions = {},
): QuantizedGraph {
  const { regions = true } = options;
  const editor = new GraphEditor(graph);
  const kept = outputNodes(graph);
  const moved = new Map<string, TensorRef>();
  const weightFidelity = new Map<string, number>();
  plan.regions.forEach((region, index) => {
    const builder = lowerRegion(region, plan, observations, options);
    for (const [node, decibels] of builder.weightFidelity) weightFidelity.set(node, decibels);
    const inputs = region.inputs.map((ref) => moved.get(refKey(ref)) ?? ref);
    const emit = regions || builder.hasFloatInOut ? regionNode : expandProgram;
    const results = emit(editor, builder.build(), builder.weights.build(), inputs, `lowbit/region_${index}`);
    for (const [key, ref] of replaceRegion(editor, kept, region, results)) moved.set(key, ref);
  });
  return { graph: removeDeadNodes.apply(editor.finish()).graph, weightFidelity };
}

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
      if (step.kind === 'lookup' || !step.quantizable.weighted) continue;
      const [ref] = step.quantizable.activations;
      const channels = plan.shapes.get(refKey(ref))?.at(-1);
      const squares = rotations.has(step.node.name);
      const rotation = rotations.get(step.node.name);
      observe({ ref, channels, ...(squares && { squares }) });
      if (rotation) observe({ ref, rotation, channels, squares });
    }
  }
  return [...tensors.values()];
}
