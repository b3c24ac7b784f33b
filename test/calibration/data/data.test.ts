import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump } from 'npyjs';
import sharp from 'sharp';
import { imageFolder } from '../../../src/calibration/data/image-folder';
import { readLabels } from '../../../src/calibration/data/labels';
import { npyFile } from '../../../src/calibration/data/npy';
import { openSamples } from '../../../src/calibration/data/open-samples';
import type { InputSpec, SampleSource } from '../../../src/calibration/source';
import type { Sample } from '../../../src/graph/ir';
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

  test('refuses another shape, a truncated file and what is no .npy', async () => {
    const file = write(new Float32Array(12), [3, 4]);
    await expect(all(npyFile(file))).rejects.toThrow(/has shape \[3,4\], but input 'image' is \[-1,8,8,3\]/);
    const other = join(temporaryFolder(), 'other.npy');
    writeFileSync(other, 'nothing of the kind');
    await expect(all(npyFile(other))).rejects.toThrow(/Cannot read .* as \.npy|holds/);
    await expect(openSamples(join(other, '..', 'absent'))).rejects.toThrow(/Cannot read/);
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
