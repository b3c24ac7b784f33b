import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { dump } from 'npyjs';
import { namedSamples } from '../../../src/calibration/data/named-samples';
import { npzFile } from '../../../src/calibration/data/npz';
import { openSamples } from '../../../src/calibration/data/open-samples';
import { randomSamples } from '../../../src/calibration/data/random';
import type { Sample } from '../../../src/graph/ir';
import type { InputSpec, SampleSource } from '../../../src/graph/samples';
import { temporaryFolder } from '../../support/tiny-model';

const inputs: InputSpec[] = [
  { name: 'x', dtype: 'float32', shape: [-1, 2] },
  { name: 'y', dtype: 'int32', shape: [-1, 1] },
];

/** The values of all samples by input. */
async function all(source: SampleSource, specs = inputs): Promise<Record<string, number[]>[]> {
  const samples = [];
  for await (const sample of source(specs)) {
    const values = Object.entries(sample).map(([name, tensor]) => [name, Array.from(tensor.values)]);
    samples.push(Object.fromEntries(values));
  }
  return samples;
}

const npy = (values: number[], shape: number[]) => new Uint8Array(dump(Float32Array.from(values), shape));

function writeNpy(folder: string, name: string, values: number[], shape: number[]): string {
  const file = join(folder, name);
  writeFileSync(file, npy(values, shape));
  return file;
}

const TWO_SAMPLES = [
  { x: [1, 2], y: [7] },
  { x: [3, 4], y: [8] },
];

describe('several inputs by name', () => {
  test('come from one file each, separated by commas or as several texts', async () => {
    const folder = temporaryFolder();
    const x = writeNpy(folder, 'a=c.npy', [1, 2, 3, 4], [2, 2]);
    const y = writeNpy(folder, 'y.npy', [7, 8], [2, 1]);
    expect(await all(await openSamples([`y=${y}`, `x=${x}`]))).toEqual(TWO_SAMPLES);
    const plain = writeNpy(folder, 'x.npy', [1, 2, 3, 4], [2, 2]);
    expect(await all(await openSamples(`x=${plain},y=${y}`))).toEqual(TWO_SAMPLES);
    // A path that exists is a path, whatever is in it.
    expect(await all(await openSamples(x), [inputs[0]])).toEqual(TWO_SAMPLES.map(({ x }) => ({ x })));
  });

  test('may be one number in every sample: settings, and what a model keeps between calls', async () => {
    const folder = temporaryFolder();
    const x = writeNpy(folder, 'x.npy', [1, 2, 3, 4], [2, 2]);
    const specs: InputSpec[] = [
      inputs[0],
      { name: 'ratio', dtype: 'float32' },
      { name: 'state', dtype: 'int32' },
      { name: 'mask', dtype: 'float32', shape: [-1, 2] },
      { name: 'keep', dtype: 'float32', shape: [], optional: true },
    ];
    const source = await openSamples([`x=${x}`, 'ratio=0.25', 'state=-3@1x2', 'mask=1e-1']);
    const samples: Sample[] = [];
    for await (const sample of source(specs)) samples.push(sample);
    expect(samples).toHaveLength(2);
    expect(samples[1]).toEqual({
      x: { dtype: 'float32', shape: [1, 2], values: Float32Array.of(3, 4) },
      ratio: { dtype: 'float32', shape: [], values: Float32Array.of(0.25) },
      state: { dtype: 'int32', shape: [1, 2], values: Int32Array.of(-3, -3) },
      mask: { dtype: 'float32', shape: [1, 2], values: Float32Array.of(0.1, 0.1) },
    });
  });

  test('may be scalars, one a sample, or have no batch', async () => {
    const folder = temporaryFolder();
    const ratio = writeNpy(folder, 'ratio.npy', [1, 2], [2]);
    const boxes = writeNpy(folder, 'boxes.npy', [1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]);
    const specs: InputSpec[] = [
      { name: 'ratio', dtype: 'float32', shape: [] },
      { name: 'boxes', dtype: 'float32', shape: [2, -1] },
    ];
    const shapes: (readonly number[])[] = [];
    for await (const sample of (await openSamples([`ratio=${ratio}`, `boxes=${boxes}`]))(specs)) {
      shapes.push(sample.ratio.shape, sample.boxes.shape);
    }
    expect(shapes).toEqual([[], [2, 2], [], [2, 2]]);
  });

  test('end together, and every source is closed', async () => {
    const closed: string[] = [];
    const counting = (name: string, count: number): SampleSource =>
      async function* () {
        try {
          const tensor = { dtype: 'float32' as const, shape: [1, 1], values: Float32Array.of(0) };
          for (let i = 0; i < count; i++) yield { [name]: tensor };
        } finally {
          closed.push(name);
        }
      };
    const sources = (x: number, y: number) =>
      namedSamples(new Map([['x', counting('x', x)], ['y', counting('y', y)]])); // biome-ignore format: pairs
    expect(await all(sources(3, 3))).toHaveLength(3);
    await expect(all(sources(2, 5))).rejects.toThrow(
      /input 'x' ends after 2 samples, but that for 'y' goes on/,
    );
    for await (const _ of sources(9, 9)(inputs)) break;
    expect(closed.toSorted()).toEqual(['x', 'x', 'x', 'y', 'y', 'y']);
  });

  test.each<[string[], RegExp]>([
    [['x=FILE'], /inputs 'x', 'y' and the data is for 'x': there is no data for 'y'/],
    [['x=FILE', 'y=FILE', 'z=FILE'], /there is no input 'z'/],
    [['x=FILE', 'FILE'], /Expected input=path for each input of the model: '.*' names none/],
    [['x=FILE', 'x=FILE'], /'x' is given twice/],
    [['x=/no/such.npy', 'y=FILE'], /Cannot read \/no\/such\.npy/],
  ])('%p is refused', async (texts, message) => {
    const file = writeNpy(temporaryFolder(), 'a.npy', [1, 2, 3, 4], [2, 2]);
    const opening = openSamples(texts.map((text) => text.replace('FILE', file))).then(all);
    await expect(opening).rejects.toThrow(message);
  });
});

describe('npzFile', () => {
  const write = (arrays: Record<string, Uint8Array>, level: 0 | 6 = 6): string => {
    const file = join(temporaryFolder(), 'data.npz');
    writeFileSync(file, zipSync(arrays, { level }));
    return file;
  };
  const arrays = { 'x.npy': npy([1, 2, 3, 4], [2, 2]), 'y.npy': npy([7, 8], [2, 1]) };

  test.each([0, 6] as const)('gives every input its array, at compression level %d', async (level) => {
    const file = write({ ...arrays, 'labels.npy': npy([0], [1]), 'notes.txt': Uint8Array.of(65) }, level);
    expect(await all(await openSamples(file))).toEqual(TWO_SAMPLES);
  });

  test('gives the only array to the only input', async () => {
    expect(await all(npzFile(write({ 'arr_0.npy': arrays['x.npy'] })), [inputs[0]])).toEqual([
      { x: [1, 2] },
      { x: [3, 4] },
    ]);
  });

  test('unpacks arrays larger than a chunk, and leaves nothing behind', async () => {
    const values = Array.from({ length: 1_000_000 }, (_, i) => (i * 7919) % 1000);
    const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('tfjs-lowbit-npz-'));
    const before = folders();
    const file = write({ 'x.npy': npy(values, [500_000, 2]) });
    let count = 0;
    for await (const { x } of npzFile(file)([inputs[0]])) {
      expect(x.values[1]).toBe(values[2 * count + 1]);
      if (++count === 1000) break;
    }
    expect(folders()).toEqual(before);
  });

  /** What taking the first sample ends with, and how many bytes lay in the temporary folder then. */
  async function limited(file: string, options: { maxBytes?: number } = {}) {
    const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('tfjs-lowbit-npz-'));
    const before = folders();
    const taking = all(npzFile(file, options), [inputs[0]]);
    await expect(taking).rejects.toMatchObject({ code: 'limit' });
    expect(folders()).toEqual(before);
    return taking.catch(({ message }: Error) => message);
  }

  test('an array that inflates to more than its header tells is refused', async () => {
    const [bomb, header] = [new Uint8Array(200 * 2 ** 20), npy([1, 2, 3, 4], [2, 2])];
    bomb.set(header);
    expect(await limited(write({ 'x.npy': bomb }))).toMatch(
      new RegExp(`data\\.npz: The array 'x' has ${header.length} bytes by its header, but inflates to more`),
    );
    // One that no input needs is not looked at.
    expect(await all(npzFile(write({ ...arrays, 'z.npy': bomb })))).toEqual(TWO_SAMPLES);
  });

  test('an array that claims more than the budget is refused before it is unpacked', async () => {
    const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999, 2), }\n";
    const wide = Buffer.from(`\x93NUMPY\x01\x00${String.fromCharCode(header.length)}\x00${header}`, 'latin1');
    expect(await limited(write({ 'x.npy': wide }), { maxBytes: 2 ** 20 })).toMatch(
      /The array 'x' takes more than is left of 1 MiB for unpacked arrays; free some space/,
    );
    // Each alone would fit.
    const half = npy(Array.from({ length: 2 ** 17 }, Math.random), [2 ** 16, 2]);
    const both = write({ 'x.npy': half, 'y.npy': half });
    await expect(all(npzFile(both, { maxBytes: 1.5 * half.length }))).rejects.toMatchObject({
      code: 'limit',
    });
    await expect(all(npzFile(both, { maxBytes: -1 }))).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  test('refuses an array without a header, however long', async () => {
    await expect(all(npzFile(write({ 'x.npy': new Uint8Array(2 ** 22) })))).rejects.toMatchObject({
      code: 'io',
      message: expect.stringContaining('it has no NumPy magic'),
    });
    const long = new Uint8Array(2 ** 22).fill(32);
    long.set(Buffer.from('\x93NUMPY\x02\x00\xff\xff\xff\x7f', 'latin1'));
    await expect(all(npzFile(write({ 'x.npy': long })))).rejects.toMatchObject({
      code: 'io',
      message: expect.stringContaining("the header of the array 'x' is longer than"),
    });
  });

  test('refuses what is no archive, a part of one, and one without the array asked for', async () => {
    const other = join(temporaryFolder(), 'a.npz');
    writeFileSync(other, 'neither');
    await expect(all(npzFile(other))).rejects.toThrow(/Cannot read .* as \.npz: it is no zip archive/);
    const whole = zipSync(arrays);
    writeFileSync(other, whole.subarray(0, 100));
    await expect(all(npzFile(other))).rejects.toThrow(/as \.npz: /);
    await expect(all(npzFile(write({ 'x.npy': arrays['x.npy'] })))).rejects.toThrow(
      /has no array for input 'y'; it has 'x'/,
    );
    await expect(
      all(npzFile(write({ 'x.npy': npy([1, 2, 3], [1, 3]), 'y.npy': arrays['y.npy'] }))),
    ).rejects.toThrow(/'x' of .*data\.npz has shape \[1,3\], but input 'x' is \[-1,2\]/);
  });
});

test('random samples are the same every time, and differ from one another', async () => {
  const take = async () => {
    const samples: number[][] = [];
    for await (const { x } of randomSamples()([inputs[0]])) {
      samples.push(Array.from(x.values));
      if (samples.length === 3) return samples;
    }
    return samples;
  };
  const samples = await take();
  expect(await take()).toEqual(samples);
  expect(new Set(samples.flat()).size).toBe(6);
  expect(samples.flat().every((value) => value >= -1 && value < 1)).toBe(true);
});

test('image folders take every kind of file that sharp reads', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'sub'));
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="#102030"/></svg>';
  writeFileSync(join(folder, 'sub', 'a.SVG'), svg);
  const [sample] = await all(await openSamples(folder, { mean: 0, std: 1 }), [
    { name: 'image', dtype: 'float32', shape: [-1, 8, 8, 3] },
  ]);
  expect(sample.image.slice(0, 3)).toEqual([0x10, 0x20, 0x30]);
});

test('random pixels are whole numbers, and images of an open size get one', async () => {
  const specs: InputSpec[] = [
    { name: 'image', dtype: 'int32', shape: [-1, -1, -1, 3] },
    { name: 'flag', dtype: 'bool', shape: [2] },
    { name: 'keep', dtype: 'float32', shape: [], optional: true },
  ];
  for await (const sample of randomSamples()(specs)) {
    expect(Object.keys(sample)).toEqual(['image', 'flag']);
    const { values, shape } = sample.image;
    expect(values.length).toBe(shape.reduce((p, d) => p * d, 1));
    expect(values).toBeInstanceOf(Int32Array);
    expect(values.every((v) => v >= 0 && v <= 255)).toBe(true);
    expect(sample.flag.values.every((v) => v === 0 || v === 1)).toBe(true);
    break;
  }
  const open: InputSpec[] = [{ name: 'x', dtype: 'float32', shape: [-1, -1] }];
  await expect(randomSamples()(open)[Symbol.asyncIterator]().next()).rejects.toThrow(
    /'x' is float32 of shape/,
  );
});
