import { stringsAttr } from '../../../../src/graph/attrs';
import { GraphEditor } from '../../../../src/graph/edit';
import { regionNode } from '../../../../src/passes/quantize/emit/region-node';
import {
  encodeProgram,
  OpKind,
  type Program,
  TensorType,
  WeightsBuilder,
} from '../../../../src/program/program';

test('a region is one node that reads its inputs, the words of its program, and its weights', () => {
  const float = { type: TensorType.Float32, shape: [4], scale: 1, zeroPoint: 0 };
  const codes = { type: TensorType.Int8, shape: [4], scale: 0.5, zeroPoint: 3 };
  const program: Program = {
    tensors: [float, codes, float, float],
    ops: [
      { kind: OpKind.Quantize, name: 'q', inputs: [0], output: 1 },
      { kind: OpKind.Dequantize, name: 'd', inputs: [1], output: 2 },
      { kind: OpKind.Dequantize, name: 'e', inputs: [1], output: 3 },
    ],
    inputs: [0],
    outputs: [2, 3],
  };
  const editor = new GraphEditor({
    nodes: new Map(),
    constants: new Map(),
    inputs: [],
    outputs: [],
    source: {},
  });
  const x = { node: 'x', index: 0 };
  const builder = new WeightsBuilder();
  builder.append(Int8Array.of(1, 0, 0));
  builder.append(Int32Array.of(2));
  const { results, constant } = regionNode(editor, program, builder, [x], 'region');
  expect(results).toEqual([
    { node: 'region', index: 0 },
    { node: 'region', index: 1 },
  ]);
  const node = editor.nodes.get('region')!;
  expect(node).toMatchObject({ op: 'QuantizedRegion', inputs: [x, {}, {}] });
  expect(stringsAttr(node, 'ops')).toEqual(['1 Quantize', '2 Dequantize']);
  expect(node.inputs.at(-1)).toEqual(constant);
  const [words, weights] = node.inputs.slice(1).map((ref) => editor.constants.get(ref.node)!.values);
  expect(words).toEqual(encodeProgram(program));
  expect(weights).toEqual(Int32Array.of(1, 2));
});
