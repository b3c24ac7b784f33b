import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { dump } from 'npyjs';
import sharp from 'sharp';
import { imageFolder } from '../../../src/calibration/data/image-folder';
import { readLabels } from '../../../src/calibration/data/labels';
import { npyFile } from '../../../src/calibration/data/npy';
import { openSamples } from '../../../src/calibration/data/open-samples';
import type { Sample } from '../../../src/graph/ir';
import type { InputSpec, SampleSource } from '../../../src/graph/samples';
import { temporaryFolder } from '../../support/tiny-model';

const SIZE = 8;
const inputs: InputSpec[] = [{ name: 'image', dtype: 'float32', shape: [-1, SIZE, SIZE, 3] }];

async function all(source: SampleSource, specs = inputs): Promise<Sample[]> {
  const samples: Sample[] = [];
  for await (const sample of source(specs)) samples.push(sample);
  return samples;
}

/** A picture whose pixels tell where they are: red grows to the right, green downwards. */
async function writeGradient(file: string, width: number, height: number): Promise<void> {
  const pixels = Buffer.alloc(width * height * 3);
  for (let i = 0; i < width * height; i++)
    pixels.set([(i % width) * 4, Math.floor(i / width) * 4, 200], i * 3);
  await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(file);
}

describe('imageFolder', () => {
  test('cuts the centre of a picture whose short side has the size already', async () => {
    const folder = temporaryFolder();
    await writeGradient(join(folder, 'a.png'), 20, 10);
    const [sample] = await all(imageFolder(folder, { cropFraction: 0.8, mean: 0, std: 1 }));
    expect(sample.image.shape).toEqual([1, SIZE, SIZE, 3]);
    // Short side 10 = 8 / 0.8: nothing is resized; left 6, top 1.
    expect(Array.from(sample.image.values.slice(0, 6))).toEqual([24, 4, 200, 28, 4, 200]);
    expect(Array.from(sample.image.values.slice(-3))).toEqual([(6 + 7) * 4, (1 + 7) * 4, 200]);
  });

  test('normalizes by channel, in the order of the colours asked for', async () => {
    const folder = temporaryFolder();
    await sharp({ create: { width: 9, height: 9, channels: 3, background: { r: 10, g: 20, b: 30 } } })
      .png()
      .toFile(join(folder, 'a.png'));
    const options = { mean: [30, 20, 10], std: [2, 4, 5], color: 'bgr', crop: 'none' } as const;
    const [sample] = await all(imageFolder(folder, options));
    expect(Array.from(sample.image.values.slice(0, 3))).toEqual([0, 0, 0]);
    const [plain] = await all(imageFolder(folder));
    expect(plain.image.values[0]).toBeCloseTo((10 - 127.5) / 127.5, 6);
  });

  test('reads gray pictures, pictures with alpha, and subfolders in the order of their names', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'b'));
    const solid = (background: object, channels: 3 | 4) =>
      sharp({ create: { width: 9, height: 9, channels, background: background as { r: number } } });
    await solid({ r: 255, g: 255, b: 255, alpha: 1 }, 4)
      .png()
      .toFile(join(folder, 'b', 'z.png'));
    await solid({ r: 7, g: 7, b: 7 }, 3).grayscale().toFile(join(folder, 'a.jpg'));
    const samples = await all(imageFolder(folder, { mean: 0, std: 1 }));
    expect(samples.map(({ image }) => Math.round(image.values[0]))).toEqual([7, 255]);
  });

  test('refuses what would take far more memory than the file', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'a.png');
    const large: InputSpec[] = [{ name: 'image', dtype: 'float32', shape: [1, 224, 224, 3] }];
    // One row, 256 once its short side is resized.
    await writeGradient(file, 30000, 1);
    await expect(all(imageFolder(folder), large)).rejects.toMatchObject({
      code: 'limit',
      message: expect.stringMatching(/a\.png: it has 30000 x 1 pixels, which would become 1966080000 with/),
    });
    expect(await all(imageFolder(folder, { crop: 'none' }), large)).toHaveLength(1);
    // A few hundred bytes that claim 3.6e9 pixels.
    await writeGradient(file, 2, 2);
    const png = readFileSync(file);
    png.writeUInt32BE(60000, 16);
    png.writeUInt32BE(60000, 20);
    png.writeUInt32BE(crc32(png.subarray(12, 29)), 29);
    writeFileSync(file, png);
    await expect(all(imageFolder(folder), large)).rejects.toMatchObject({ code: 'limit' });
  });

  test('gives pixels as they are to models that take whole numbers', async () => {
    const folder = temporaryFolder();
    await writeGradient(join(folder, 'a.png'), 10, 10);
    const whole: InputSpec[] = [{ name: 'image', dtype: 'int32', shape: [1, SIZE, SIZE, 3] }];
    const [{ image }] = await all(imageFolder(folder, { cropFraction: 0.8 }), whole);
    expect(image.dtype).toBe('int32');
    expect(image.values).toBeInstanceOf(Int32Array);
    expect(Array.from(image.values.slice(0, 6))).toEqual([4, 4, 200, 8, 4, 200]);
    const [{ image: halved }] = await all(imageFolder(folder, { cropFraction: 0.8, mean: 4, std: 2 }), whole);
    expect(Array.from(halved.values.slice(0, 6))).toEqual([0, 0, 98, 2, 0, 98]);
  });

  test('makes gray pictures for one channel', async () => {
    const folder = temporaryFolder();
    await sharp({ create: { width: 9, height: 9, channels: 3, background: { r: 90, g: 160, b: 40 } } })
      .png()
      .toFile(join(folder, 'a.png'));
    const gray: InputSpec[] = [{ name: 'image', dtype: 'float32', shape: [-1, SIZE, SIZE, 1] }];
    const [{ image }] = await all(imageFolder(folder, { mean: 0, std: 1 }), gray);
    expect(image.shape).toEqual([1, SIZE, SIZE, 1]);
    const [{ values }] = [await sharp(join(folder, 'a.png')).grayscale().raw().toBuffer()].map((b) => ({
      values: b,
    }));
    expect(Math.abs(image.values[0] - values[0])).toBeLessThanOrEqual(1);
    await expect(all(imageFolder(folder, { mean: [1, 2, 3] }), gray)).rejects.toThrow(/one number for mean/);
  });

  test('puts the channels first where the model has them so, or is said to', async () => {
    const folder = temporaryFolder();
    await writeGradient(join(folder, 'a.png'), 20, 10);
    const options = { cropFraction: 0.8, mean: [0, 1, 2], std: [1, 2, 4], color: 'bgr' } as const;
    const [{ image: last }] = await all(imageFolder(folder, options));
    const first: InputSpec[] = [{ name: 'image', dtype: 'float32', shape: [-1, 3, SIZE, SIZE] }];
    const open: InputSpec[] = [{ name: 'image', dtype: 'float32', shape: [1, -1, -1, -1] }];
    const area = SIZE * SIZE;
    const expected = Array.from(
      { length: 3 * area },
      (_, i) => last.values[(i % area) * 3 + Math.floor(i / area)],
    );
    const said = imageFolder(folder, { ...options, layout: 'nchw', imageSize: SIZE });
    for (const source of [all(imageFolder(folder, options), first), all(said, first), all(said, open)]) {
      const [{ image }] = await source;
      expect(image.shape).toEqual([1, 3, SIZE, SIZE]);
      expect(Array.from(image.values)).toEqual(expected);
    }
  });

  test('passes by inputs that have a value of their own', async () => {
    const folder = temporaryFolder();
    await writeGradient(join(folder, 'a.png'), 9, 9);
    const optional: InputSpec = { name: 'keep', dtype: 'float32', shape: [], optional: true };
    const [sample] = await all(imageFolder(folder), [...inputs, optional]);
    expect(Object.keys(sample)).toEqual(['image']);
  });

  test('resizes the short side, turns by EXIF and cuts, as sharp does it step by step', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'a.png');
    await writeGradient(file, 40, 30);
    const upright = await sharp(file).resize({ height: 10 }).raw().toBuffer({ resolveWithObject: true });
    const { width, height } = upright.info;
    const left = Math.floor((width - SIZE) / 2);
    const top = Math.floor((height - SIZE) / 2);
    const expected = Array.from({ length: SIZE * SIZE * 3 }, (_, i) => {
      const [y, x, c] = [Math.floor(i / (SIZE * 3)), Math.floor(i / 3) % SIZE, i % 3];
      return upright.data[((top + y) * width + left + x) * 3 + c];
    });
    await sharp(file).rotate(-90).withMetadata({ orientation: 6 }).toFile(join(folder, 'turned.png'));
    const samples = await all(imageFolder(folder, { cropFraction: 0.8, mean: 0, std: 1 }));
    expect(samples).toHaveLength(2);
    for (const { image } of samples) expect(Array.from(image.values)).toEqual(expected);
  });

  test.each([
    [40, 20],
    [20, 40],
    [30, 30],
  ])('cuts a %d x %d picture for an input that is not square', async (width, height) => {
    const folder = temporaryFolder();
    await writeGradient(join(folder, 'a.png'), width, height);
    const wide: InputSpec[] = [{ name: 'image', dtype: 'float32', shape: [-1, 6, 12, 3] }];
    const [{ image }] = await all(imageFolder(folder, { cropFraction: 1, mean: 0, std: 1 }), wide);
    expect(image.shape).toEqual([1, 6, 12, 3]);
    // What is cut out of the middle is as wide as can be, at the same scale in both directions.
    const scale = Math.min(width / 12, height / 6);
    const at = (y: number, x: number, c: number) => image.values[(y * 12 + x) * 3 + c];
    expect((at(3, 9, 0) - at(3, 2, 0)) / 4 / 7).toBeCloseTo(scale, 0);
    expect((at(4, 6, 1) - at(1, 6, 1)) / 4 / 3).toBeCloseTo(scale, 0);
  });

  test('passes over what is no image, and refuses a crop larger than the picture', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'folder.jpg'));
    writeFileSync(join(folder, 'notes.txt'), 'not a picture');
    await writeGradient(join(folder, 'a.PNG'), 9, 9);
    expect(await all(imageFolder(folder))).toHaveLength(1);
    await expect(all(imageFolder(folder, { cropFraction: 1.5 }))).rejects.toThrow(
      /a number above 0, at most 1 for cropFraction but received 1.5/,
    );
  });

  test('says what is wrong with a model that does not take one image', async () => {
    const folder = temporaryFolder();
    await writeGradient(join(folder, 'a.png'), 9, 9);
    await expect(
      all(imageFolder(folder), [{ name: 'x', dtype: 'float32', shape: [-1, 10] }]),
    ).rejects.toThrow(/one input of shape \[batch, height, width, 3\]; this one has 'x' \[-1,10\]/);
  });
});

describe('npyFile', () => {
  const write = (values: Float32Array, shape: number[]): string => {
    const file = join(temporaryFolder(), 'data.npy');
    writeFileSync(file, Buffer.from(dump(values, shape)));
    return file;
  };

  test('yields one sample a row of the first axis', async () => {
    const file = write(
      Float32Array.from({ length: 12 }, (_, i) => i),
      [3, 4],
    );
    const samples = await all(await openSamples(file), [{ name: 'x', dtype: 'float32', shape: [-1, 4] }]);
    expect(samples.map(({ x }) => [x.shape, Array.from(x.values)])).toEqual([
      [
        [1, 4],
        [0, 1, 2, 3],
      ],
      [
        [1, 4],
        [4, 5, 6, 7],
      ],
      [
        [1, 4],
        [8, 9, 10, 11],
      ],
    ]);
  });

  test.each(['float32', 'int32', 'bool'] as const)('gives %s to an input that takes it', async (dtype) => {
    const file = join(temporaryFolder(), 'data.npy');
    writeFileSync(file, Buffer.from(dump(BigInt64Array.of(0n, 1n, 1n, 0n), [2, 2])));
    const samples = await all(npyFile(file), [{ name: 'x', dtype, shape: [-1, 2] }]);
    expect(samples.map(({ x }) => [x.dtype, Array.from(x.values)])).toEqual([
      [dtype, [0, 1]],
      [dtype, [1, 0]],
    ]);
  });

  test('reads a sample at a time: a file larger than memory will do', async () => {
    const count = 4_000_000;
    const file = join(temporaryFolder(), 'large.npy');
    const start = Buffer.from(dump(new Float32Array(1), [count, SIZE, SIZE, 3]));
    writeFileSync(file, start);
    truncateSync(file, start.length - 4 + count * SIZE * SIZE * 3 * 4); // sparse: takes no space on the disk
    for await (const { image } of npyFile(file)(inputs)) {
      expect(image.shape).toEqual([1, SIZE, SIZE, 3]);
      expect(image.values.every((value) => value === 0)).toBe(true);
      break;
    }
  });

  test('refuses another shape', async () => {
    const file = write(new Float32Array(12), [3, 4]);
    await expect(all(npyFile(file))).rejects.toThrow(/has shape \[3,4\], but input 'image' is \[-1,8,8,3\]/);
    const scalar = write(new Float32Array(1), []);
    await expect(all(npyFile(scalar))).rejects.toThrow(/holds a single number/);
  });

  test.each([
    ['in the magic', 5, /Cannot read .* as \.npy: it ends at byte 5/],
    ['in the header', 40, /Cannot read .* as \.npy: its header needs \d+ bytes but it has 40/],
    ['in the data', -1, /is truncated: f4 of shape \[3,4\] needs \d+ bytes but it has \d+/],
  ])('refuses a file truncated %s before it yields anything', async (_where, end, message) => {
    const file = write(new Float32Array(12), [3, 4]);
    writeFileSync(file, readFileSync(file).subarray(0, end));
    await expect(all(npyFile(file), [{ name: 'x', dtype: 'float32', shape: [-1, 4] }])).rejects.toThrow(
      message,
    );
  });

  test('refuses what is no .npy, and numbers it cannot use', async () => {
    const file = join(temporaryFolder(), 'other.npy');
    writeFileSync(file, 'nothing of the kind');
    await expect(all(npyFile(file))).rejects.toThrow(/Cannot read .* as \.npy: it has no NumPy magic/);
    writeFileSync(file, Buffer.from(dump([1, 2, 3, 4], [2, 1], { dtype: 'c8' })));
    await expect(all(npyFile(file))).rejects.toThrow(/holds c8; expected real numbers in C order/);
    await expect(openSamples(join(file, '..', 'absent'))).rejects.toThrow(/Cannot read/);
    const text = join(temporaryFolder(), 'data.txt');
    writeFileSync(text, '');
    await expect(openSamples(text)).rejects.toThrow(
      /a folder of images, a \.npy or \.npz file, .* but received/,
    );
  });
});

test('readLabels takes numbers and {index, name}, by path relative to the file', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'labels.json');
  writeFileSync(file, JSON.stringify({ 'eval/a.jpg': 3, 'eval/b.jpg': { index: 5, name: 'five' } }));
  const labelOf = await readLabels(file);
  expect(labelOf(join(folder, 'eval', 'a.jpg'))).toBe(3);
  expect(labelOf(join(folder, 'eval', 'b.jpg'))).toBe(5);
  expect(labelOf(join(folder, 'eval', 'c.jpg'))).toBeUndefined();
  writeFileSync(file, JSON.stringify({ 'eval/a.jpg': 'three' }));
  await expect(readLabels(file)).rejects.toThrow(
    /expected a class index or \{index, name\} for 'eval\/a.jpg'/,
  );
});
