import { attr } from '../../../graph/attrs';
import { type GraphEditor, output } from '../../../graph/edit';
import type { TensorRef } from '../../../graph/ir';
import { joinedConstant } from '../../../graph/stored-constants';
import { encodeProgram, OpKind, type Program, type WeightsBuilder } from '../../../program/program';

/** What viewers of models show of a region: how often it has each op, as `35 Conv2D`. */
function opCounts({ ops }: Program): string[] {
  const counts = new Map<OpKind, number>();
  for (const { kind } of ops) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, count]) => `${count} ${OpKind[kind]}`);
}

/** Makes a node of a whole program, reading two constants beside the inputs: the program's words and its weights. */
export function setRegionNode(
  editor: GraphEditor,
  name: string,
  program: Program,
  weights: WeightsBuilder,
  inputs: readonly TensorRef[],
): void {
  const words = encodeProgram(program);
  const constants = [
    editor.addConstant(`${name}/program`, { dtype: 'int32', shape: [words.length], values: words }),
    editor.addConstant(`${name}/weights`, joinedConstant(weights.parts, weights.byteLength / 4)),
  ];
  const attrs = { ops: attr.strings(opCounts(program)) };
  editor.setNode({ name, op: 'QuantizedRegion', inputs: [...inputs, ...constants], attrs });
}

/** Adds such a node. */
export function regionNode(
  editor: GraphEditor,
  program: Program,
  weights: WeightsBuilder,
  inputs: readonly TensorRef[],
  region: string,
): TensorRef[] {
  const name = editor.freeName(region);
  setRegionNode(editor, name, program, weights, inputs);
  return program.outputs.map((_, index) => output(name, index));
}
