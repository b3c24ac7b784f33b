import { attr } from '../../../../src/graph/attrs';
import { GraphEditor } from '../../../../src/graph/edit';
import { NodeEmitter } from '../../../../src/passes/quantize/emit/node-emitter';
import { emitFilterOp, type FilterOp } from '../../../../src/passes/quantize/emit/weighted-kernels';
import {
  appendInt8Filter,
  appendInt16Filter,
  appendLowBitFilter,
} from '../../../../src/passes/quantize/lower/filters';
import { OpKind, TensorType, WeightsBuilder } from '../../../../src/program/program';
import { encodeMatrix } from '../../../../src/quantization/formats/encode';

const x = { node: 'x', index: 0 };
const operands = {
  inputs: [x],
  specs: [{ type: TensorType.Int8, shape: [1, 32], scale: 0.5, zeroPoint: 4 }],
  result: { type: TensorType.Float32, shape: [1, 2], scale: 1, zeroPoint: 0 },
};

/** The node of a product [1, 32] . [2, 32], and the constants that it reads. */
function emit(filter: (weights: WeightsBuilder) => Extract<FilterOp, { kind: OpKind.Linear }>['filter']) {
  const weights = new WeightsBuilder();
  const op: FilterOp = {
    kind: OpKind.Linear,
    name: 'layer',
    inputs: [0],
    output: 1,
    filter: filter(weights),
    inFeatures: 32,
    outFeatures: 2,
    activation: {},
  };
  const editor = new GraphEditor({
    nodes: new Map(),
    constants: new Map(),
    inputs: [],
    outputs: [],
    source: {},
  });
  const result = emitFilterOp(new NodeEmitter(editor, weights.build()), op, operands);
  const node = editor.nodes.get(result.node)!;
  return { node, constants: node.inputs.slice(1).map((ref) => editor.constants.get(ref.node)!.values) };
}

test('an INT8 filter is its bytes, float32 scales and an int32 bias', () => {
  const codes = Int8Array.from({ length: 64 }, (_, i) => i - 32);
  const scales = Float32Array.of(0.5, 2);
  const bias = Int32Array.of(7, -8);
  const { node, constants } = emit((weights) => appendInt8Filter(weights, { codes, scales }, bias));
  expect(node).toMatchObject({
    op: 'QuantizedLinear',
    attrs: {
      filterShape: attr.ints([2, 32]),
      inputScale: attr.float(0.5),
      inputZeroPoint: attr.int(4),
      activation: attr.string('linear'),
    },
  });
  expect(node.attrs).not.toHaveProperty('weightFormat');
  const [filter, ...others] = constants;
  expect(new Int8Array((filter as Int32Array).buffer)).toEqual(codes);
  expect(others).toEqual([scales, bias]);
});

test('a low-bit filter has its levels and group as attributes, and a float32 bias', () => {
  const values = Float32Array.from({ length: 64 }, (_, i) => Math.cos(i));
  const matrix = encodeMatrix('uniform4', values, 2, 32, { group: 32 });
  const { node, constants } = emit((weights) => appendLowBitFilter(weights, matrix, Float32Array.of(1, 2)));
  expect(node.attrs).toMatchObject({
    weightFormat: attr.string('codebook4'),
    levels: attr.ints(Array.from(matrix.levels)),
    group: attr.int(32),
    unit: attr.float(Math.fround(matrix.unit)),
  });
  const [filter, scales, bias] = constants;
  expect(new Uint8Array((filter as Int32Array).buffer)).toEqual(matrix.codes);
  expect(new Uint16Array((scales as Int32Array).buffer)).toEqual(matrix.scales);
  expect(bias).toEqual(Float32Array.of(1, 2));
});

test('int16 weights have no kernel', () => {
  const bias = Float32Array.of(0, 0);
  for (const step of [1, 100]) {
    const filter = { codes: new Int16Array(64).map((_, i) => i * step), scales: Float32Array.of(1, 1) };
    expect(() =>
      emit((weights) => appendInt16Filter(weights, filter, (i) => Math.floor(i / 32), bias)),
    ).toThrow("'layer' has int16 weights, which no kernel takes.");
  }
});
