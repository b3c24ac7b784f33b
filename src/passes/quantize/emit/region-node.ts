import { type GraphEditor, output } from '../../../graph/edit';
import type { TensorRef } from '../../../graph/ir';
import { encodeProgram, type Program } from '../../../program/program';

/** One node for a whole program, reading two constants beside the inputs: the program's words and its weights. */
export function regionNode(
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
