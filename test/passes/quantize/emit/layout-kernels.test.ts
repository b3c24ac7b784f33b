import { attr } from '../../../../src/graph/attrs';
import { GraphEditor } from '../../../../src/graph/edit';
import { emitLayoutOp, type LayoutOp } from '../../../../src/passes/quantize/emit/layout-kernels';
import { NodeEmitter } from '../../../../src/passes/quantize/emit/node-emitter';
import { OpKind, PadMode, TensorType } from '../../../../src/program/program';

const spec = (scale: number, zeroPoint: number) => ({
  type: TensorType.Int8,
  shape: [2, 3],
  scale,
  zeroPoint,
});
const refs = ['x', 'y'].map((node) => ({ node, index: 0 }));

/** The node of an op of two inputs. */
function emit(op: LayoutOp) {
  const editor = new GraphEditor({
    nodes: new Map(),
    constants: new Map(),
    inputs: [],
    outputs: [],
    source: {},
  });
  const operands = { inputs: refs, specs: [spec(0.5, 1), spec(0.25, -2)], result: spec(1, 3) };
  const { node } = emitLayoutOp(new NodeEmitter(editor, new Int32Array(0)), op, operands);
  return editor.nodes.get(node)!;
}

const common = { name: 'op', inputs: [0, 1], output: 2 };

test('a concatenation has the scale and zero point of each part', () => {
  expect(emit({ ...common, kind: OpKind.Concat, axis: 1 })).toMatchObject({
    op: 'QuantizedConcat',
    inputs: refs,
    attrs: {
      axis: attr.int(1),
      inputScales: attr.floats([0.5, 0.25]),
      inputZeroPoints: attr.ints([1, -2]),
      outputScale: attr.float(1),
      outputZeroPoint: attr.int(3),
    },
  });
});

test('a pad has the code of its border, a slice one range an axis', () => {
  const paddings = [
    [0, 1],
    [2, 0],
  ] as const;
  expect(emit({ ...common, kind: OpKind.Pad, mode: PadMode.Reflect, code: -5, paddings }).attrs).toEqual({
    paddings: attr.ints([0, 1, 2, 0]),
    mode: attr.string('reflect'),
    code: attr.int(-5),
  });
  const ranges = [
    { begin: 0, size: -1, stride: 1 },
    { begin: 1, size: 2, stride: 3 },
  ];
  expect(emit({ ...common, kind: OpKind.Slice, ranges }).attrs).toEqual({
    begin: attr.ints([0, 1]),
    size: attr.ints([-1, 2]),
    strides: attr.ints([1, 3]),
  });
});

test.each([OpKind.SpaceToDepth, OpKind.DepthToSpace] as const)('%p has the size of its blocks', (kind) => {
  const node = emit({ ...common, kind, block: 4 });
  expect(node.op).toBe(`Quantized${OpKind[kind]}`);
  expect(node.attrs).toEqual({ blockSize: attr.int(4) });
});
