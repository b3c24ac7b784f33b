import { appendInput } from '../../../../src/passes/quantize/lower/input';
import { Granularity, OpKind, TensorType } from '../../../../src/program/program';
import { observedKey } from '../../../../src/quantization/observations';
import { builderOf, ref, valuesOf } from '../../../support/program-of';

const range = { min: -1, max: 1 };
const builder = () => builderOf({ x: { shape: [2, 4], range } });
const kinds = (of: ReturnType<typeof builder>) => of.build().ops.map(({ kind }) => kind);

test('each form of a tensor is computed once, however many ops read it', () => {
  const built = builder();
  const float = built.input(ref('x'));
  const codes = built.read(ref('x'));
  expect(built.read(ref('x'))).toBe(codes);
  expect(built.readInt16(ref('x'))).toBe(built.readInt16(ref('x')));
  const rows = built.readDynamic(ref('x'), Granularity.Row);
  expect(built.readDynamic(ref('x'), Granularity.Row)).toBe(rows);
  expect(built.readDynamic(ref('x'), Granularity.Sample)).not.toBe(rows);
  expect(built.dequantized(ref('x'))).toBe(float);
  expect(kinds(built)).toEqual([
    OpKind.Quantize,
    OpKind.QuantizeInt16,
    OpKind.QuantizeDynamic,
    OpKind.QuantizeDynamic,
  ]);
});

test('a tensor is read as it is stored, in float32 if it is', () => {
  const float = builder();
  const id = float.floatResult(ref('x'));
  expect(float.readStored(ref('x'))).toBe(id);
  const codes = builder();
  const stored = codes.result(ref('x'));
  expect(codes.readStored(ref('x'))).toBe(stored);
  expect(kinds(codes)).toEqual([]);
});

test('codes that leave the region are dequantized, to half a step', () => {
  const built = builder();
  appendInput(built, ref('x'), true);
  const codes = built.read(ref('x'));
  const { scale, zeroPoint } = built.paramsOf(codes);
  const input = [-1, -0.6, -0.2, 0, 0.1, 0.4, 0.9, 1];
  const values = valuesOf(built, [{ shape: [2, 4], values: input }]);
  values[codes].forEach((code, i) => {
    expect(Math.abs((code - zeroPoint) * scale - input[i])).toBeLessThanOrEqual(scale / 2 + 1e-6);
  });
});

test('rotated codes are made once for all layers of one rotation', () => {
  const rotation = { block: 64, seed: 5 };
  const key = observedKey({ ref: ref('x'), rotation });
  const built = builderOf(
    { x: { shape: [1, 64] } },
    {
      ranges: new Map([
        ['x:0', range],
        [key, { min: -2, max: 1 }],
      ]),
    },
  );
  built.input(ref('x'));
  const rotated = built.rotated(ref('x'), 64, rotation, 'a');
  expect(built.rotated(ref('x'), 64, rotation, 'b')).toBe(rotated);
  expect(kinds(built)).toEqual([OpKind.Rotate]);
  expect(built.build().tensors[rotated]).toMatchObject({ scale: Math.fround(2 / 127), zeroPoint: 0 });
});

test('a temporary has the type of another tensor and a shape of its own', () => {
  const built = builder();
  const codes = built.result(ref('x'));
  const id = built.temporaryLike(codes, [8]);
  expect(built.build().tensors[id]).toEqual({ ...built.build().tensors[codes], shape: [8] });
  expect(built.build().tensors[id].type).toBe(TensorType.Int8);
});

test('names are cut to what the engine takes', () => {
  const built = builder();
  const x = built.input(ref('x'));
  built.op({ kind: OpKind.Quantize, name: 'n'.repeat(300), inputs: [x], output: built.result(ref('x')) });
  expect(built.build().ops[0].name).toBe('n'.repeat(250));
});
