/**
 * Quantization: every planned region becomes one node that runs a program.
 *
 * A region's node reads the region's float32 inputs and two int32 constants, the program and its weights. Outputs of
 * the model keep their names through an Identity each: TF.js confuses two signature outputs of one node.
 */

import { attr } from '../../graph/attrs';
import { GraphEditor, outputNodes, refKey } from '../../graph/edit';
import type { Graph, TensorRef } from '../../graph/ir';
import type { Observations } from '../../quantization/observations';
import { removeDeadNodes } from '../remove-dead-nodes';
import { type PlacedProgram, replaceTables } from '../weight-only/replace-tables';
import { canExpand, expandProgram } from './emit/expand-program';
import { regionNode } from './emit/region-node';
import type { WeightOptions } from './lower/weight-options';
import { lowerRegion } from './lower-region';
import type { QuantizationPlan } from './plan/plan';
import type { Region } from './plan/region';

/**
 * Makes the readers of a region read its node instead, and removes the nodes that it replaces.
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
  /** Nodes whose int16 weights are stored in 8 bits. */
  readonly offsetInt8: ReadonlySet<string>;
  /** By table, the node that stores its rows, where it is another one. */
  readonly storedBy: ReadonlyMap<string, string>;
}

export interface QuantizeOptions extends WeightOptions {
  /** True (default): one node a region. False: one a quantized op, of regions whose ops all have a kernel. */
  readonly regions?: boolean;
}

/**
 * Lowers the regions and the tables of a plan.
 *
 * @param observations range of every tensor that the plan's regions observe; channel means of the inputs of layers
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
  const offsetInt8 = new Set<string>();
  const programs: PlacedProgram[] = [];
  plan.regions.forEach((region, index) => {
    const builder = lowerRegion(region, plan, observations, options);
    for (const [node, decibels] of builder.weightFidelity) weightFidelity.set(node, decibels);
    for (const node of builder.offsetInt8) offsetInt8.add(node);
    const inputs = region.inputs.map((ref) => moved.get(refKey(ref)) ?? ref);
    const program = builder.build();
    const { weights } = builder;
    let results: TensorRef[];
    if (regions || !canExpand(program)) {
      const placed = regionNode(editor, program, weights, inputs, `lowbit/region_${index}`);
      programs.push({ program, weights, constant: placed.constant });
      results = placed.results;
    } else {
      results = expandProgram(editor, program, weights.build(), inputs);
    }
    for (const [key, ref] of replaceRegion(editor, kept, region, results)) moved.set(key, ref);
  });
  const replaced = replaceTables(editor, plan.tables.values(), options.lowBit, programs);
  return {
    graph: removeDeadNodes.apply(editor.finish()).graph,
    weightFidelity: new Map([...weightFidelity, ...replaced.weightFidelity]),
    offsetInt8,
    storedBy: replaced.storedBy,
  };
}
