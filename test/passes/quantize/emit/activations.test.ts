import { attr } from '../../../../src/graph/attrs';
import { GraphEditor } from '../../../../src/graph/edit';
import { emitActivated, emitClampedFloat } from '../../../../src/passes/quantize/emit/activations';
import type { Attrs } from '../../../../src/passes/quantize/emit/kernel-attrs';
import { NodeEmitter } from '../../../../src/passes/quantize/emit/node-emitter';
import { TensorType } from '../../../../src/program/program';
import { clampCodes, lookupTable } from '../../../../src/quantization/activation';
import { chooseAffine } from '../../../../src/quantization/affine';
import { ops } from '../../../support/float-graph';

const empty = { nodes: new Map(), constants: new Map(), inputs: [], outputs: [], source: {} };
const codes = { type: TensorType.Int8, shape: [4], ...chooseAffine({ min: -1, max: 8 }) };

function emitter(weights: Int32Array = new Int32Array(0)) {
  const editor = new GraphEditor(empty);
  const emitted: Attrs[] = [];
  const nodes = new NodeEmitter(editor, weights);
  const kernel = (attrs: Attrs) => {
    emitted.push(attrs);
    return nodes.node('layer', 'Kernel', [], attrs);
  };
  return { nodes, editor, emitted, kernel };
}

test.each([
  ['linear', [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]],
  ['relu', [0, Number.POSITIVE_INFINITY]],
  ['relu6', [0, 6]],
] as const)('%s is an attribute of the kernel, for float32 and for codes', (name, bounds) => {
  const float = emitter();
  const [floatMin, floatMax] = bounds;
  emitClampedFloat(float.nodes, 'layer', { floatMin, floatMax }, float.kernel);
  expect(float.emitted).toEqual([{ activation: attr.string(name) }]);
  const int8 = emitter();
  emitActivated(int8.nodes, 'layer', codes, clampCodes(bounds, codes), int8.kernel);
  expect(int8.emitted[0].activation).toEqual(attr.string(name));
  expect(ops(int8.editor.finish())).toEqual(['Kernel']);
});

test('other bounds are stock ops after the kernel', () => {
  const float = emitter();
  emitClampedFloat(float.nodes, 'layer', { floatMin: -2, floatMax: 3 }, float.kernel);
  expect(ops(float.editor.finish())).toEqual(['Kernel', 'ClipByValue']);
  expect([...float.editor.constants.values()].map(({ values }) => [...values])).toEqual([[-2], [3]]);
  const int8 = emitter();
  emitActivated(int8.nodes, 'layer', codes, { codeMin: -7, codeMax: 90 }, int8.kernel);
  expect(ops(int8.editor.finish())).toEqual(['Kernel', 'Maximum', 'Minimum']);
  expect([...int8.editor.constants.values()].map(({ values }) => [...values])).toEqual([[-7], [90]]);
});

test('a table is gathered by code + 128, and the kernel stores the codes that index it', () => {
  const before = chooseAffine({ min: -4, max: 4 });
  const table = lookupTable(Math.tanh, before, codes);
  const { nodes, editor, emitted, kernel } = emitter(new Int32Array(table.buffer));
  const activation = { tableOffset: 0, preScale: before.scale, preZeroPoint: before.zeroPoint };
  emitActivated(nodes, 'layer', codes, activation, kernel);
  expect(emitted[0]).toMatchObject({
    outputScale: attr.float(before.scale),
    outputZeroPoint: attr.int(before.zeroPoint),
  });
  const graph = editor.finish();
  expect(ops(graph)).toEqual(['Kernel', 'AddV2', 'GatherV2']);
  expect(Array.from(graph.constants.get('layer/table')!.values)).toEqual(Array.from(table));
  expect(Array.from(graph.constants.get('layer/offset')!.values)).toEqual([128]);
});
