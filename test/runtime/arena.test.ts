// @needs engine
/** The arena planner: tensors that are not alive together share memory. */
import { encodeProgram } from '../../src/program/program';
import { createNodeEngine } from '../../src/runtime/node-engine';
import { CaseBuilder } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { Random } from '../support/random';
import { expectReference, runCompiled } from '../support/run-engine';

/** Max pools of one shape, each of the result before it; of the first one's input as well where `kept`. */
function chain(pools: number, kept = false) {
  const builder = new CaseBuilder();
  const drawer = new Drawer(builder, new Random(3));
  const window = { kernel: [3, 3], strides: [1, 1], padding: { mode: 1 } } as const;
  const first = drawer.codes([1, 16, 16, 16]);
  let last = first;
  for (let i = 0; i < pools; i++) last = drawer.maxPool(last, window);
  builder.output(kept ? drawer.concat([first, last], 3) : last);
  return builder.build();
}

function memoryOf(kernelCase: ReturnType<typeof chain>) {
  const compiled = createNodeEngine().compile(encodeProgram(kernelCase.program), kernelCase.weights);
  compiled.outputShapes(kernelCase.inputShapes);
  const { arena, withoutReuse } = compiled.memoryBytes;
  compiled.dispose();
  expectReference(kernelCase, [createNodeEngine()]);
  return { arena, withoutReuse };
}

test('the arena of a chain has room for two tensors, however long it is', () => {
  const { arena, withoutReuse } = memoryOf(chain(1));
  expect(arena).toBeGreaterThanOrEqual(2 * 16 ** 3);
  expect(withoutReuse).toBe(arena);
  for (const pools of [2, 3, 9]) {
    expect(memoryOf(chain(pools))).toEqual({ arena, withoutReuse: ((pools + 1) / 2) * arena });
  }
});

test('a tensor that is read again at the end keeps its place', () => {
  const two = memoryOf(chain(1)).arena;
  const { arena, withoutReuse } = memoryOf(chain(5, true));
  const joined = withoutReuse - 3 * two;
  expect(arena).toBeGreaterThanOrEqual(two + joined);
  expect(arena).toBeLessThan(withoutReuse);
});

test('scratch of threads counts on both sides', () => {
  const kernelCase = chain(3);
  const compiled = createNodeEngine().compile(encodeProgram(kernelCase.program), kernelCase.weights);
  compiled.outputShapes(kernelCase.inputShapes);
  const before = compiled.memoryBytes;
  runCompiled(compiled, kernelCase);
  const after = compiled.memoryBytes;
  expect(after.arena).toBeGreaterThan(before.arena);
  expect(after.withoutReuse - after.arena).toBe(before.withoutReuse - before.arena);
  compiled.dispose();
});
