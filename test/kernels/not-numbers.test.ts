// @needs engine
/** NaN and infinities in the inputs of programs: what docs/architecture.md says of them, on every instruction set. */
import { encodeProgram, OpKind, type Program, TensorType } from '../../src/program/program';
import { CaseBuilder, FLOAT32, int8 } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { drawDynamicLinear } from '../support/dynamic-series';
import { forEachCase } from '../support/random';
import { everyIsa } from '../support/run-engine';

const engines = everyIsa();
const ODD = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

interface Compiled {
  program: Program;
  weights: Int32Array;
  inputShapes: number[][];
  outputShapes: number[][];
}

/** The first output, on every instruction set. */
function outputs(
  { program, weights, inputShapes, outputShapes }: Compiled,
  inputs: Float32Array[],
): Float32Array[] {
  return engines.map((engine) => {
    const compiled = engine.compile(encodeProgram(program), weights);
    const out = outputShapes.map((shape) => new Float32Array(shape.reduce((a, b) => a * b, 1)));
    compiled.run(inputShapes, inputs, out);
    compiled.dispose();
    return out[0]!;
  });
}

const params = { scale: 0.5, zeroPoint: 3 };

/** Quantize and dequantize. */
function border(count: number): Compiled {
  const builder = new CaseBuilder();
  const x = builder.floats([1, count], new Float32Array(count));
  const codes = builder.apply({ kind: OpKind.Quantize, inputs: [x] }, int8(params));
  builder.output(builder.apply({ kind: OpKind.Dequantize, inputs: [codes] }, FLOAT32));
  return builder.build();
}

test('infinities get the extreme codes, and NaN the least', () => {
  const values = Float32Array.from({ length: 67 }, (_, i) => (i % 4 === 3 ? 1 : ODD[i % 4]!));
  const [least, greatest] = [(-128 - 3) * 0.5, (127 - 3) * 0.5];
  const expected = Array.from(values, (_, i) => [least, greatest, least, 1][i % 4]);
  for (const out of outputs(border(67), [values])) expect([...out]).toEqual(expected);
});

test('a product of codes of them is a product of the extreme codes', () =>
  forEachCase('odd inputs of products', 20, (random) => {
    const builder = new CaseBuilder();
    const drawer = new Drawer(builder, random);
    const shape = [random.int(1, 5), random.int(1, 40)];
    const product = drawer.linear(drawer.quantized(shape), random.int(1, 40));
    const isFloat = builder.spec(product).type === TensorType.Float32;
    builder.output(isFloat ? product : drawer.dequantize(product));
    const kernelCase = builder.build();
    const { scale, zeroPoint } = kernelCase.program.tensors[1]!;
    const odd = Float32Array.from({ length: shape[0]! * shape[1]! }, () =>
      random.chance(0.3) ? random.pick(ODD) : random.real(-1, 1),
    );
    const extreme = odd.map((value) =>
      Number.isFinite(value)
        ? value
        : ((value === Number.POSITIVE_INFINITY ? 127 : -128) - zeroPoint) * scale,
    );
    const [first, ...others] = outputs(kernelCase, [odd]);
    for (const other of others) expect(other).toEqual(first);
    expect(first).toEqual(outputs(kernelCase, [extreme])[0]);
    expect(first!.every(Number.isFinite)).toBe(true);
  }));

test('dynamic activations of them give the same on every instruction set, and write no other rows', () =>
  forEachCase('odd inputs of dynamic products', 20, (random) => {
    const builder = new CaseBuilder();
    builder.output(drawDynamicLinear(new Drawer(builder, random), random));
    const kernelCase = builder.build();
    const inputs = kernelCase.inputs.map((values) => Float32Array.from(values));
    const at = random.int(0, inputs[0]!.length - 1);
    inputs[0]![at] = random.pick(ODD);
    const [first, ...others] = outputs(kernelCase, inputs);
    for (const other of others) expect(other).toEqual(first);
  }));

test('a rotation of infinities has them and NaN where the signs say so, on every instruction set', () => {
  const rotation = { rows: 1, depth: 64, block: 64, seed: 7 };
  const rotated = (engine: (typeof engines)[number], odd: readonly number[], value: number) => {
    const row = Float32Array.from({ length: 64 }, (_, i) => (odd.includes(i) ? value : 0));
    engine.hadamard(row, rotation);
    return [...row];
  };
  for (const engine of engines) {
    const [first, second] = [3, 37].map((place) => rotated(engine, [place], 8));
    const infinite = rotated(engine, [3, 37], Number.POSITIVE_INFINITY);
    // Infinity times either sign of the two, and their sum.
    expect(infinite).toEqual(
      first!.map((value, i) => value * Number.POSITIVE_INFINITY + second![i]! * Number.POSITIVE_INFINITY),
    );
    expect(infinite.some(Number.isNaN) && infinite.includes(Number.NEGATIVE_INFINITY)).toBe(true);
    expect(rotated(engine, [9], Number.NaN).every(Number.isNaN)).toBe(true);
  }
});
