import { attr } from '../../../graph/attrs';
import { type GraphEditor, output } from '../../../graph/edit';
import type { GraphNode, TensorRef } from '../../../graph/ir';
import { joinedConstant } from '../../../graph/stored-constants';
import { encodeProgram, OpKind, type Program, type WeightsBuilder } from '../../../program/program';

/** What viewers of models show of a region: how often it has each op, as `35 Conv2D`. */
function opCounts({ ops }: Program): string[] {
  const counts = new Map<OpKind, number>();
  for (const { kind } of ops) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, count]) => `${count} ${OpKind[kind]}`);
}

function setProgramNode(
  editor: GraphEditor,
  name: string,
  program: Program,
  weights: TensorRef,
  inputs: readonly TensorRef[],
  attrs: GraphNode['attrs'] = {},
): void {
  const words = encodeProgram(program);
  const constant = { dtype: 'int32' as const, shape: [words.length], values: words };
  const placed = editor.addConstant(`${name}/program`, constant);
  editor.setNode({
    name,
    op: 'QuantizedRegion',
    inputs: [...inputs, placed, weights],
    attrs: { ops: attr.strings(opCounts(program)), ...attrs },
  });
}

/**
 * Makes a node of a whole program, reading two constants beside the inputs: the program's words and its weights.
 *
 * @returns the weights
 */
export function setRegionNode(
  editor: GraphEditor,
  name: string,
  program: Program,
  weights: WeightsBuilder,
  inputs: readonly TensorRef[],
): TensorRef {
  const joined = joinedConstant(weights.parts, weights.byteLength / 4);
  const constant = editor.addConstant(`${name}/weights`, joined);
  setProgramNode(editor, name, program, constant, inputs);
  return constant;
}

/** Makes a node of a program that looks up rows in the weights of another one. */
export function setLookupNode(
  editor: GraphEditor,
  name: string,
  program: Program,
  weights: TensorRef,
  indices: TensorRef,
): void {
  setProgramNode(editor, name, program, weights, [indices], { integers: attr.bool(true) });
}

/** Adds a node of a whole program. */
export function regionNode(
  editor: GraphEditor,
  program: Program,
  weights: WeightsBuilder,
  inputs: readonly TensorRef[],
  region: string,
): { results: TensorRef[]; constant: TensorRef } {
  const name = editor.freeName(region);
  const constant = setRegionNode(editor, name, program, weights, inputs);
  return { results: program.outputs.map((_, index) => output(name, index)), constant };
}
