// @needs engine
/** What the engine refuses before it allocates, and settings that it cannot honour. */
import { totalmem } from 'node:os';
import { encodeProgram, type Op, OpKind, TensorType } from '../../src/program/program';
import { engineInfo, setMaxMemory } from '../../src/runtime/current-engine';
import { createNativeEngine } from '../../src/runtime/native-engine';
import '../../src/runtime/provide-native-engine';

const engine = createNativeEngine();
const byDefault = engine.maxMemory;

afterEach(() => {
  engine.maxMemory = byDefault;
  delete process.env.LOWBIT_NUM_THREADS;
});

const MIB = 2 ** 20;

/** A program of some hundred bytes: a picture of one pixel, enlarged. */
function enlarging(size: number, toFloat: boolean) {
  const spec = (type: TensorType) => ({ type, shape: [-1, -1, -1, -1], scale: 1, zeroPoint: 0 });
  const resize = (name: string, side: number, from: number): Op => ({
    ...{ kind: OpKind.ResizeNearestNeighbor, name, inputs: [from], output: from + 1 },
    size: { height: side, width: side, alignCorners: false, halfPixelCenters: false },
  });
  const ops: Op[] = [
    { kind: OpKind.Quantize, name: 'in', inputs: [0], output: 1 },
    resize('large', size, 1),
    resize('small', 1, 2),
    { kind: OpKind.Dequantize, name: 'out', inputs: [toFloat ? 2 : 3], output: 4 },
  ];
  return encodeProgram({
    tensors: [0, 1, 2, 3, 4].map((id) => spec(id % 4 === 0 ? TensorType.Float32 : TensorType.Int8)),
    ops: toFloat ? ops.filter(({ name }) => name !== 'small') : ops,
    inputs: [0],
    outputs: [4],
  });
}

test.each([
  ['an output', true],
  ['an intermediate tensor', false],
])(
  'a small program with %s of gigabytes is refused with both numbers, before anything is allocated',
  (_, toFloat) => {
    engine.maxMemory = 512 * MIB;
    const compiled = engine.compile(enlarging(16384, toFloat), new Int32Array(0));
    const before = process.memoryUsage().rss;
    const plan = () => compiled.outputShapes([[1, 1, 1, 1]]);
    expect(plan).toThrow(
      /need \d+ MiB \(\d+ for intermediate tensors, .* but only 512 MiB are allowed; .*maxMemory/,
    );
    expect(plan).toThrow(expect.objectContaining({ code: 'out-of-memory' }));
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MIB);
    // The program is still usable, with a higher limit.
    engine.maxMemory = 8192 * MIB;
    expect(plan()).toEqual([toFloat ? [1, 16384, 16384, 1] : [1, 1, 1, 1]]);
    compiled.dispose();
  },
);

test('the limit is a share of the memory of the machine unless it is set', () => {
  expect(byDefault).toBeGreaterThan(64 * MIB);
  expect(byDefault).toBeLessThanOrEqual(totalmem() / 2);
  setMaxMemory(100 * MIB);
  expect(engineInfo().maxMemory).toBe(100 * MIB);
  for (const bytes of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => setMaxMemory(bytes)).toThrow('a positive number of bytes for maxMemory');
});

test.each(['0', 'abc', '-2', '1.5', '2x'])('LOWBIT_NUM_THREADS=%s is refused', (text) => {
  process.env.LOWBIT_NUM_THREADS = text;
  expect(createNativeEngine).toThrow(
    `Expected a positive integer for LOWBIT_NUM_THREADS but received '${text}'`,
  );
});

test.each(['1', '64', ''])('LOWBIT_NUM_THREADS=%s is taken', (text) => {
  process.env.LOWBIT_NUM_THREADS = text;
  expect(createNativeEngine().kind).toBe('native');
});
