// @needs engine
import { encodeProgram } from '../../src/program/program';
import { createNodeEngine } from '../../src/runtime/node-engine';
import { CaseBuilder } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { Random } from '../support/random';
import { runCompiled } from '../support/run-engine';

test('a profile counts runs and the time of each op', () => {
  const random = new Random(1);
  const builder = new CaseBuilder();
  const drawer = new Drawer(builder, random);
  builder.output(drawer.conv2d(drawer.codes([1, 32, 32, 16])));
  const kernelCase = builder.build();
  const compiled = createNodeEngine().compile(encodeProgram(kernelCase.program), kernelCase.weights);
  runCompiled(compiled, kernelCase);
  expect(compiled.endProfile()).toEqual({ runs: 0, opNanoseconds: kernelCase.program.ops.map(() => 0) });
  compiled.startProfile();
  runCompiled(compiled, kernelCase);
  runCompiled(compiled, kernelCase);
  const { runs, opNanoseconds } = compiled.endProfile();
  expect(runs).toBe(2);
  expect(opNanoseconds).toHaveLength(kernelCase.program.ops.length);
  for (const time of opNanoseconds) expect(time).toBeGreaterThan(0);
  compiled.dispose();
});
