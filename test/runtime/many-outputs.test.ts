// @needs engine
import { encodeProgram, type Op, OpKind, TensorType } from '../../src/program/program';
import { everyIsa } from '../support/run-engine';

test('a program may have a thousand inputs and outputs', () => {
  const count = 1000;
  const spec = (type: TensorType) => ({ type, shape: [-1, 2], scale: 1, zeroPoint: 0 });
  const all = Array.from({ length: count }, (_, i) => i);
  const ops = all.flatMap((i): Op[] => [
    { kind: OpKind.Quantize, name: `in_${i}`, inputs: [i], output: count + i },
    { kind: OpKind.Dequantize, name: `out_${i}`, inputs: [count + i], output: 2 * count + i },
  ]);
  const types = [TensorType.Float32, TensorType.Int8, TensorType.Float32];
  const tensors = types.flatMap((type) => all.map(() => spec(type)));
  const program = encodeProgram({ tensors, ops, inputs: all, outputs: all.map((i) => 2 * count + i) });
  for (const engine of everyIsa()) {
    const compiled = engine.compile(program, new Int32Array(0));
    const shapes = all.map(() => [3, 2]);
    expect(compiled.outputShapes(shapes)).toEqual(shapes);
    const inputs = all.map((i) => Float32Array.of(i % 100, 1, 2, 3, 4, 5));
    const outputs = all.map(() => new Float32Array(6));
    compiled.run(shapes, inputs, outputs);
    expect(outputs).toEqual(inputs);
    compiled.dispose();
  }
});
