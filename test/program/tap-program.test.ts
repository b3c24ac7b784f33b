// @needs engine
import { encodeProgram, type Op, OpKind, TensorType } from '../../src/program/program';
import { tapProgram } from '../../src/program/tap-program';
import { createNodeEngine } from '../../src/runtime/node-engine';
import { CaseBuilder } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { Random } from '../support/random';

/** Three ops in a row, of which the last alone is an output. */
function chain() {
  const builder = new CaseBuilder();
  const drawer = new Drawer(builder, new Random(7));
  const first = drawer.conv2d(drawer.codes([1, 6, 6, 3]));
  const second = drawer.lookup(first);
  builder.output(drawer.maxPool(second));
  return builder.build();
}

test('every op of a tapped program has an output with the real values that it stores', () => {
  const { program, weights, inputs, inputShapes } = chain();
  const { program: words, taps, ops } = tapProgram(encodeProgram(program));
  expect(ops.map(({ kind }) => kind)).toEqual(program.ops.map(({ kind }) => kind));

  const run = (code: Int32Array) => {
    const compiled = createNodeEngine().compile(code, weights);
    const outputs = compiled
      .outputShapes(inputShapes)
      .map((shape) => new Int32Array(shape.reduce((p, d) => p * d, 1)));
    compiled.run(
      inputShapes,
      inputs,
      outputs.map((data, i) => (i < program.outputs.length ? data : new Float32Array(data.buffer))),
    );
    compiled.dispose();
    return outputs;
  };

  const tapped = run(words);
  expect(tapped[0]).toEqual(run(encodeProgram(program))[0]);
  const computing = program.ops.filter(({ kind }) => kind !== OpKind.Cast);
  expect(taps.map(({ name }) => name)).toEqual(computing.map(({ name }) => name));
  computing.forEach(({ output }: Op, i) => {
    const { scale, zeroPoint } = program.tensors[output];
    expect(taps[i]).toMatchObject({ type: TensorType.Int8, scale, zeroPoint });
    // The same op's codes, read through a cast instead.
    const codes = program.tensors.push({ ...program.tensors[output], type: TensorType.Int32 }) - 1;
    const cast: Op = { kind: OpKind.Cast, name: 'codes', inputs: [output], output: codes };
    const [, expected] = run(
      encodeProgram({ ...program, ops: [...program.ops, cast], outputs: [program.outputs[0], codes] }),
    );
    const received = new Float32Array(tapped[taps[i].output].buffer);
    const codesOf = (x: number) => Math.round(x / Math.fround(scale)) + zeroPoint;
    expect(Int32Array.from(received, codesOf)).toEqual(Int32Array.from(new Int32Array(expected.buffer)));
    program.tensors.pop();
  });
});
