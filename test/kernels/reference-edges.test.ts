// @needs engine
/** Shapes and numbers where a kernel changes its path: tails, borders, extremes, one thread's share ending early. */
import { encodeProgram, OpKind, PaddingMode, type Window } from '../../src/program/program';
import { CaseBuilder, FLOAT32, int8, type KernelCase } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { drawDynamicConv2D, drawDynamicDepthwise, drawDynamicLinear } from '../support/dynamic-series';
import { forEachCase, type Random } from '../support/random';
import { everyIsa, expectReference, runCompiled } from '../support/run-engine';
import { runReference } from './reference/run-reference';

const engines = everyIsa();

/** Draws a program of one output and checks it. */
async function check(
  label: string,
  count: number,
  draw: (drawer: Drawer, random: Random, index: number) => number,
  threadCounts = [1, 2],
): Promise<void> {
  await forEachCase(label, count, (random, index) => {
    const builder = new CaseBuilder();
    builder.output(draw(new Drawer(builder, random), random, index));
    expectReference(builder.build(), engines, threadCounts);
  });
}

const window = (kernel: number, stride = 1, mode = PaddingMode.Same): Window => ({
  kernel: [kernel, kernel],
  strides: [stride, stride],
  padding: { mode },
});

describe('every channel count from 1 to 70', () => {
  const image = (index: number) => [1, 3, 4, index + 1];

  test.each<[string, (drawer: Drawer, index: number) => number]>([
    [
      'conv 1x1',
      (d, i) => d.conv2d(d.codes(image(i)), { groups: 1, outChannels: 70 - i, window: window(1) }),
    ],
    [
      'conv 3x3',
      (d, i) => d.conv2d(d.codes(image(i)), { groups: 1, outChannels: 70 - i, window: window(3) }),
    ],
    ['one group a channel', (d, i) => d.conv2d(d.codes(image(i)), { groups: i + 1, outChannels: 2 * i + 2 })],
    ['depthwise 3x3', (d, i) => d.depthwiseConv2d(d.codes(image(i)), { multiplier: 1, window: window(3) })],
    ['depthwise, multiplier 2', (d, i) => d.depthwiseConv2d(d.codes(image(i)), { multiplier: 2 })],
    ['linear', (d, i) => d.linear(d.codes([5, i + 1]), 70 - i)],
    ['max pool', (d, i) => d.maxPool(d.codes(image(i)), window(2))],
    ['average pool', (d, i) => d.avgPool(d.codes(image(i)), window(3))],
    ['add', (d, i) => d.binary(OpKind.Add, d.codes(image(i)), d.codes(image(i)))],
    ['mul by channel', (d, i) => d.binary(OpKind.Mul, d.codes(image(i)), d.codes([i + 1]))],
    ['mul by pixel', (d, i) => d.binary(OpKind.Mul, d.codes(image(i)), d.codes([1, 3, 4, 1]))],
    ['concat', (d, i) => d.concat([d.codes(image(i)), d.codes(image(69 - i))], 3)],
    ['quantize', (d, i) => d.quantized([7, i + 1])],
    ['dequantize', (d, i) => d.dequantize(d.codes([7, i + 1]))],
    ['lookup', (d, i) => d.lookup(d.codes([7, i + 1]))],
    ['reshape', (d, i) => d.reshape(d.codes([6, i + 1]), [i + 1, 6])],
    ['maximum', (d, i) => d.binary(OpKind.Maximum, d.codes(image(i)), d.codes(image(i)))],
    ['prelu', (d, i) => d.prelu(d.codes(image(i)))],
    ['softmax', (d, i) => d.softmax(d.codes([7, i + 1]))],
    ['layer normalization', (d, i) => d.layerNormalization(d.codes([7, i + 1]))],
    ['rotation', (d, i) => d.rotate(d.codes([3, i + 1]), 64)],
    ['lookup of floats', (d, i) => d.floatLookup(d.codes([7, i + 1]))],
    ['pad', (d, i) => d.pad(d.codes(image(i)))],
    ['slice', (d, i) => d.slice(d.codes(image(i)))],
    ['transpose', (d, i) => d.transpose(d.codes(image(i)))],
    ['transposed conv', (d, i) => d.transposedConv2d(d.codes(image(i)))],
    ['matrix product', (d, i) => d.batchMatMul(d.codes([3, i + 1]), d.codes([i + 1, 70 - i]), false, false)],
    ['resize', (d, i) => d.resizeBilinear(d.codes(image(i)))],
  ])('%s', async (label, draw) => {
    await check(`channels, ${label}`, 70, (drawer, _, index) => draw(drawer, index));
  });
});

test('every number of rows from 1 to 40, and around the chunks of threads', async () => {
  const rows = [...Array.from({ length: 40 }, (_, i) => i + 1), 71, 72, 73, 287, 289, 577, 1200];
  await check('rows', rows.length, (drawer, random, index) =>
    drawer.linear(drawer.codes([rows[index]!, random.int(1, 12)]), random.pick([1, 16, 33, 64, 70])),
  );
});

test('few channels: rows that part of a chunk, padding wider than the image, batches within a chunk', async () => {
  const cases: { shape: number[]; window: Window }[] = [];
  const explicit = (kernel: [number, number], strides: [number, number], sides: number[]): Window => ({
    kernel,
    strides,
    padding: { mode: PaddingMode.Explicit, top: sides[0], bottom: sides[1], left: sides[2], right: sides[3] },
  });
  for (const channels of [1, 2, 3, 4]) {
    cases.push(
      { shape: [1, 75, 61, channels], window: window(7, 2) },
      { shape: [2, 33, 47, channels], window: window(3, 2, PaddingMode.Valid) },
      { shape: [9, 5, 6, channels], window: window(3) },
      { shape: [1, 4, 1300, channels], window: window(5) },
      { shape: [2, 3, 2, channels], window: explicit([3, 3], [1, 3], [9, 8, 17, 20]) },
      { shape: [1, 40, 20, channels], window: explicit([2, 5], [5, 1], [1, 0, 0, 3]) },
    );
  }
  await check('few channels', cases.length, (drawer, _, index) =>
    drawer.conv2d(drawer.codes(cases[index]!.shape), {
      groups: 1,
      outChannels: 5,
      window: cases[index]!.window,
    }),
  );
});

test('outputs around the blocks of packed filters', async () => {
  const outputs = [127, 128, 129, 255, 256, 257, 300, 513];
  await check('outputs', 3 * outputs.length, (drawer, random, index) => {
    const count = outputs[index % outputs.length]!;
    const image = drawer.codes([1, 2, 2, random.int(1, 9)]);
    return index < outputs.length
      ? drawer.linear(drawer.codes([random.int(1, 3), random.int(1, 300)]), count)
      : drawer.conv2d(image, { groups: 1, outChannels: count, window: window(index < 16 ? 1 : 3) });
  });
});

test('an element-wise op behind a convolution whose channels are split between threads', async () => {
  await check('epilogue', 12, (drawer, random) => {
    const count = random.pick([128, 200, 257, 400]);
    const made = drawer.conv2d(drawer.codes([1, 2, 2, random.int(1, 9)]), {
      groups: 1,
      outChannels: count,
      window: window(1),
    });
    if (drawer.isFloat(made)) return made;
    return random.chance(0.3)
      ? drawer.prelu(made)
      : drawer.binary(OpKind.Add, drawer.codes([1, 2, 2, count]), made);
  });
});

test('pairs of weights that overflow a 16-bit sum by little, among many that do not', async () => {
  await forEachCase('pairs', 30, (random, index) => {
    const builder = new CaseBuilder();
    const drawer = new Drawer(builder, random, false, 'borderline');
    const rows = random.pick([1, 2, 5, 8, 9, 23]);
    builder.output(
      index < 20
        ? drawer.linear(drawer.codes([rows, random.int(90, 700)]), random.int(1, 40))
        : drawer.conv2d(drawer.codes([1, 5, rows, random.int(12, 70)]), { groups: 1, window: window(3) }),
    );
    expectReference(builder.build(), engines);
  });
});

test('deep sums: accumulators near the ends of int32', async () => {
  await check('depth', 12, (drawer, random, index) =>
    drawer.linear(drawer.codes([2, index < 6 ? 2048 : 30000]), random.int(1, 3)),
  );
});

test('every number of taps from 1 to 13', async () => {
  await check('taps', 13 * 3, (drawer, random, index) => {
    const window: Window = {
      kernel: [1 + (index % 13), 1],
      strides: [random.int(1, 2), 1],
      padding: { mode: PaddingMode.Same },
    };
    const image = drawer.codes([1, random.int(1, 9), 2, random.int(1, 70)]);
    return index < 13
      ? drawer.depthwiseConv2d(image, { multiplier: 1, window })
      : index < 26
        ? drawer.avgPool(image, window)
        : drawer.conv2d(image, { window });
  });
});

test('one row of a kernel over few channels', async () => {
  await check('row over few channels', 40, (drawer, random) => {
    const window: Window = {
      kernel: [1, random.int(2, 5)],
      strides: [1, 1],
      padding: { mode: random.pick([PaddingMode.Same, PaddingMode.Valid]) },
    };
    const shape = [random.int(1, 2), random.int(1, 5), random.int(5, 9), random.int(1, 4)];
    return random.chance(0.5)
      ? drawer.conv2d(drawer.codes(shape), { groups: 1, window })
      : drawDynamicConv2D(drawer, random, shape, window);
  });
});

describe('windows and borders', () => {
  const windowed: [string, (drawer: Drawer, input: number, window: Window) => number][] = [
    ['conv', (drawer, input, window) => drawer.conv2d(input, { window })],
    ['depthwise', (drawer, input, window) => drawer.depthwiseConv2d(input, { window })],
    ['max pool', (drawer, input, window) => drawer.maxPool(input, window)],
    ['average pool', (drawer, input, window) => drawer.avgPool(input, window)],
  ];

  test.each(windowed)('%s of a single pixel', async (label, apply) => {
    await check(`pixel, ${label}`, 30, (drawer, random) =>
      apply(drawer, drawer.codes([random.int(1, 3), 1, 1, random.int(1, 70)]), window(random.int(1, 5))),
    );
  });

  test.each(windowed)('%s with a stride larger than the kernel', async (label, apply) => {
    await check(`stride, ${label}`, 30, (drawer, random) => {
      const mode = random.pick([PaddingMode.Same, PaddingMode.Valid]);
      return apply(
        drawer,
        drawer.codes([1, random.int(3, 9), random.int(3, 9), 5]),
        window(2, random.int(3, 5), mode),
      );
    });
  });

  test.each(windowed)('%s whose outer windows lie in the padding alone', async (label, apply) => {
    await check(`padding, ${label}`, 30, (drawer, random) => {
      const [top, bottom, left, right] = random.ints(4, 3, 6);
      const padding = { mode: PaddingMode.Explicit, top, bottom, left, right };
      const image = drawer.codes([random.int(1, 2), random.int(1, 4), random.int(1, 4), random.int(1, 40)]);
      return apply(drawer, image, { kernel: [3, 2], strides: [random.int(1, 2), 1], padding });
    });
  });

  test.each(windowed)('%s with dilation', async (label, apply) => {
    await check(`dilation, ${label}`, 30, (drawer, random) => {
      const mode = random.pick([PaddingMode.Same, PaddingMode.Valid]);
      const dilations = [random.int(2, 3), random.int(1, 4)] as const;
      const image = drawer.codes([1, random.int(7, 9), random.int(9, 11), random.int(1, 9)]);
      return apply(drawer, image, { kernel: [3, 3], strides: [1, 1], dilations, padding: { mode } });
    });
  });
});

test('groups of every size', async () => {
  const geometries = [1, 2, 3, 4, 5, 6, 8, 12, 20].flatMap((groups) =>
    [1, 2, 3, 5, 6].map((depth) => ({ groups, depth })),
  );
  await check('groups', geometries.length, (drawer, random, index) => {
    const { groups, depth } = geometries[index]!;
    const image = drawer.codes([random.int(1, 3), 4, 3, groups * depth]);
    return drawer.conv2d(image, { groups, outChannels: groups * random.int(1, 5) });
  });
});

test('every pair of extreme codes and zero points, for ops that combine two codes', async () => {
  const zeroPoints = [-128, -1, 0, 127];
  const pairs = zeroPoints.flatMap((a) => zeroPoints.map((b) => [a, b] as const));
  const all = Int32Array.from({ length: 256 }, (_, i) => i - 128);
  const some = Int32Array.of(-128, -127, -64, -2, -1, 0, 1, 2, 63, 126, 127);
  await check('zero points', 2 * pairs.length, (drawer, random, index) => {
    const [zeroA, zeroB] = pairs[index % pairs.length]!;
    const { builder } = drawer;
    const a = builder.codes([256, 1], all, { scale: random.pick([0.25, 0.3]), zeroPoint: zeroA });
    const b = builder.codes([1, 11], some, { scale: random.pick([0.5, 0.7]), zeroPoint: zeroB });
    return drawer.binary(index < pairs.length ? OpKind.Add : OpKind.Mul, a, b);
  });
});

test('a scalar takes part like any other shape', async () => {
  await check('scalar', 20, (drawer, random) =>
    drawer.binary(OpKind.Add, drawer.codes([]), drawer.codes([random.int(1, 3), random.int(1, 20)])),
  );
});

describe('real values of more elements than a chunk', () => {
  const image = [2, 33, 31, 20];

  test.each([
    ['of samples', [2, 1, 1, 20]],
    ['of rows', [1, 33, 1, 20]],
    ['of columns', [31, 20]],
    ['of channels', [20]],
    ['of pixels', [2, 33, 31, 1]],
    ['of everything', [1]],
  ])('arithmetic with one %s', async (label, shape) => {
    await check(`chunks, ${label}`, 4, (drawer, random) => {
      const inputs = [drawer.floats(image), drawer.floats(shape)];
      const draft = { kind: random.pick([OpKind.Mul, OpKind.Sub] as const), activation: { floatMin: -1 } };
      return drawer.builder.apply(
        { ...draft, inputs: random.chance(0.5) ? inputs : inputs.toReversed() },
        FLOAT32,
      );
    });
  });

  test.each([1, 2, 5])('blocks of two by two pixels of %d channels', async (channels) => {
    await check(`blocks, ${channels}`, 4, (drawer, random) => {
      const [kind, shape] = random.pick([
        [OpKind.DepthToSpace, [2, 40, 41, 4 * channels]],
        [OpKind.SpaceToDepth, [2, 80, 82, channels]],
      ] as const);
      return drawer.builder.apply({ kind, inputs: [drawer.floats(shape)], block: 2 }, FLOAT32);
    });
  });

  test('a mean over pictures', async () => {
    await check('mean', 4, (drawer, random) => {
      const inputs = [drawer.floats([2, 41, 43, random.int(1, 40)])];
      return drawer.builder.apply(
        { kind: OpKind.AvgPool, inputs, window: window(0, 1, PaddingMode.Valid), activation: {} },
        FLOAT32,
      );
    });
  });
});

test('int32 elements that are no codes become the nearest code', async () => {
  const builder = new CaseBuilder();
  const values = Int32Array.of(-(2 ** 31), -129, -128, -1, 0, 127, 128, 2 ** 31 - 1);
  builder.output(builder.codes([8], values, { scale: 1, zeroPoint: 0 }));
  const kernelCase = builder.build();
  expect(kernelCase.expected).toEqual([[-128, -128, -128, -1, 0, 127, 127, 127]]);
  expectReference(kernelCase, engines);
});

test('halves round to the even code', async () => {
  const builder = new CaseBuilder();
  const input = builder.floats([8], Float32Array.of(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 126.5, 127.5));
  builder.output(builder.apply({ kind: OpKind.Quantize, inputs: [input] }, int8({ scale: 1, zeroPoint: 0 })));
  const kernelCase = builder.build();
  expect(kernelCase.expected).toEqual([[-2, -2, 0, 0, 2, 2, 126, 127]]);
  expectReference(kernelCase, engines);
});

const size = { height: 50, width: 47, alignCorners: false, halfPixelCenters: false };

/** Large enough to be cut into many chunks. */
describe('the same results with 1, 2, 3 and 5 threads', () => {
  test.each<[string, (drawer: Drawer) => number]>([
    ['conv', (d) => d.conv2d(d.codes([2, 24, 25, 18]), { groups: 1, outChannels: 37, window: window(3) })],
    [
      'grouped conv',
      (d) => d.conv2d(d.codes([1, 30, 31, 12]), { groups: 4, outChannels: 28, window: window(3) }),
    ],
    [
      'conv 1x1',
      (d) => d.conv2d(d.codes([1, 40, 41, 20]), { groups: 1, outChannels: 70, window: window(1) }),
    ],
    ['wide linear', (d) => d.linear(d.codes([3, 100]), 1001)],
    ['depthwise', (d) => d.depthwiseConv2d(d.codes([1, 50, 51, 35]), { multiplier: 1, window: window(3) })],
    ['max pool', (d) => d.maxPool(d.codes([1, 50, 51, 35]), window(3, 2))],
    ['average pool', (d) => d.avgPool(d.codes([1, 50, 51, 35]), window(3, 2))],
    ['add', (d) => d.binary(OpKind.Add, d.codes([1, 60, 61, 33]), d.codes([1, 60, 61, 33]))],
    ['mul', (d) => d.binary(OpKind.Mul, d.codes([1, 60, 61, 33]), d.codes([33]))],
    ['concat', (d) => d.concat([d.codes([1, 60, 61, 7]), d.codes([1, 60, 61, 20])], 3)],
    ['quantize', (d) => d.quantized([61, 60, 17])],
    ['dequantize', (d) => d.dequantize(d.codes([61, 60, 33]))],
    ['lookup', (d) => d.lookup(d.codes([61, 60, 33]))],
    ['minimum', (d) => d.binary(OpKind.Minimum, d.codes([1, 60, 61, 33]), d.codes([33]))],
    ['prelu', (d) => d.prelu(d.codes([61, 60, 33]))],
    ['softmax', (d) => d.softmax(d.codes([61, 60, 33]))],
    ['layer normalization', (d) => d.layerNormalization(d.codes([61, 60, 33]))],
    ['pad', (d) => d.pad(d.codes([2, 40, 61, 33]))],
    ['slice', (d) => d.slice(d.codes([3, 60, 61, 33]))],
    ['transpose', (d) => d.transpose(d.codes([2, 40, 61, 33]))],
    ['transposed conv', (d) => d.transposedConv2d(d.codes([2, 14, 15, 20]))],
    ['matrix product', (d) => d.batchMatMul(d.codes([3, 70, 41]), d.codes([3, 41, 37]), false, false)],
    ['space to depth', (d) => d.spaceDepth(OpKind.SpaceToDepth, 3, d.codes([2, 60, 60, 9]))],
    [
      'resize to the nearest',
      (d) => d.resizeNearest(d.codes([2, 20, 21, 33]), { ...size, alignCorners: true }),
    ],
    ['resize', (d) => d.resizeBilinear(d.codes([2, 20, 21, 33]), { ...size, halfPixelCenters: true })],
    ['conv of dynamic codes', (d) => drawDynamicConv2D(d, d.random, [2, 35, 36, 9])],
    ['depthwise of dynamic codes', (d) => drawDynamicDepthwise(d, d.random, [2, 40, 41, 35])],
    ['linear of dynamic codes', (d) => drawDynamicLinear(d, d.random, [2, 50, 100])],
  ])('%s', async (label, draw) => {
    await check(`threads, ${label}`, 2, draw, [1, 2, 3, 5]);
  });
});

test.each<[string, (drawer: Drawer, shape: number[]) => number]>([
  ['codes', (d, shape) => d.conv2d(d.codesOf(d.depthwiseConv2d(d.codes(shape))))],
  ['dynamic codes by sample', (d, shape) => drawDynamicConv2D(d, d.random, shape)],
  ['dynamic codes by channel', (d, shape) => drawDynamicDepthwise(d, d.random, shape)],
  ['dynamic codes by row', (d, shape) => drawDynamicLinear(d, d.random, [shape[0]!, shape[3]!])],
])('one compiled program of %s serves many batch sizes, in any order', async (label, draw) => {
  await forEachCase(`batches, ${label}`, 10, (random) => {
    const builder = new CaseBuilder(true);
    const drawer = new Drawer(builder, random);
    builder.output(draw(drawer, [3, 5, 6, random.int(1, 20)]));
    const whole = builder.build();
    const batches = [1, 3, 2, 12, 1, 4, 5, 6, 7, 8, 9, 10, 11, 3].map((batch) => withBatch(whole, batch));
    for (const engine of engines) {
      const compiled = engine.compile(encodeProgram(whole.program), whole.weights);
      for (const one of batches) {
        expect(runCompiled(compiled, one).map((output) => Array.from(output))).toEqual(one.expected);
      }
      compiled.dispose();
    }
  });
});

/** The program of a case of one input on another number of images, the same ones in turn. */
function withBatch(kernelCase: KernelCase, batch: number): KernelCase {
  const { program, weights } = kernelCase;
  const [images, ...rest] = kernelCase.inputShapes[0]!;
  const [values] = kernelCase.inputs;
  const size = (batch * values!.length) / images!;
  const repeated = Array.from({ length: size }, (_, i) => values![i % values!.length]!);
  const inputs = [values instanceof Float32Array ? Float32Array.from(repeated) : Int32Array.from(repeated)];
  const inputShapes = [[batch, ...rest]];
  const tensors = runReference(program, weights, inputs, inputShapes);
  const outputs = program.outputs.map((id) => tensors[id]!);
  return {
    program,
    weights,
    inputs,
    inputShapes,
    expected: outputs.map((output) => output.values),
    outputShapes: outputs.map((output) => [...output.shape]),
  };
}
