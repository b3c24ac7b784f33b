import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseRecordLayout } from '../../../src/calibration/data/record-layout';
import { labelledRecords, type RecordLayout, records } from '../../../src/calibration/data/records';
import type { InputSpec, LabelledSample } from '../../../src/graph/samples';
import { temporaryFolder } from '../../support/tiny-model';

/** Two pixels of three channels. */
const inputs: InputSpec[] = [{ name: 'image', dtype: 'float32', shape: [-1, 1, 2, 3] }];

function write(...bytes: number[]): string {
  const file = join(temporaryFolder(), 'data.bin');
  writeFileSync(file, Uint8Array.from(bytes));
  return file;
}

async function all(file: string, layout?: RecordLayout, specs = inputs): Promise<LabelledSample[]> {
  const found: LabelledSample[] = [];
  for await (const record of labelledRecords(file, layout)(specs)) found.push(record);
  return found;
}

const valuesOf = ({ sample }: LabelledSample) => Array.from(Object.values(sample)[0].values);

test('reads records in the order of the file, in the shape of the model', async () => {
  const found = await all(write(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
  expect(found.map(valuesOf)).toEqual([
    [1, 2, 3, 4, 5, 6],
    [7, 8, 9, 10, 11, 12],
  ]);
  expect(found[0].sample.image.shape).toEqual([1, 1, 2, 3]);
  expect(found[0]).not.toHaveProperty('label');
});

test('reads a label before the data, behind bytes that are skipped', async () => {
  const file = write(99, 0x34, 0x12, 1, 2, 3, 4, 5, 6, 99, 7, 0, 1, 1, 1, 1, 1, 1);
  const found = await all(file, { skip: 1, label: 2 });
  expect(found.map(({ label }) => label)).toEqual([0x1234, 7]);
  expect(valuesOf(found[0])).toEqual([1, 2, 3, 4, 5, 6]);
  const [, last] = await all(file, { skip: 1, label: 2, labelOffset: 1 });
  expect(last.label).toBe(8);
});

test('brings planes together, and normalizes each channel by its own mean', async () => {
  const file = write(5, 1, 2, 3, 4, 5, 6);
  const [found] = await all(file, { label: 1, layout: 'chw', mean: [1, 3, 5], std: [1, 2, 4] });
  expect(found.label).toBe(5);
  expect(valuesOf(found)).toEqual([0, 0, 0, 1, 0.5, 0.25]);
});

const little = (array: ArrayBufferView) => new Uint8Array(array.buffer);

test.each<[RecordLayout['dtype'], Uint8Array, number[]]>([
  ['int8', Uint8Array.of(0xff, 0x80), [-1, -128]],
  ['uint16', little(Uint16Array.of(1, 65535)), [1, 65535]],
  ['int16', little(Int16Array.of(-2, 300)), [-2, 300]],
  ['int32', little(Int32Array.of(-70000, 5)), [-70000, 5]],
  ['float16', little(Uint16Array.of(0x3c00, 0xc000)), [1, -2]],
  ['float32', little(Float32Array.of(0.5, -8)), [0.5, -8]],
  ['float64', little(Float64Array.of(0.25, 1e3)), [0.25, 1000]],
])('reads %s', async (dtype, bytes, expected) => {
  const [found] = await all(write(...bytes), { dtype }, [{ name: 'x', dtype: 'float32', shape: [-1, 2] }]);
  expect(valuesOf(found)).toEqual(expected);
});

test('takes the shape from the layout where the model leaves it open', async () => {
  const specs: InputSpec[] = [{ name: 'x', dtype: 'int32', shape: [-1, -1, 2] }];
  const [found] = await all(write(1, 2, 3, 4), { shape: [2, 2] }, specs);
  expect(found.sample.x).toEqual({ dtype: 'int32', shape: [1, 2, 2], values: Int32Array.of(1, 2, 3, 4) });
  await expect(all(write(1), {}, specs)).rejects.toThrow(/'x' is \[-1,-1,2\]; give the shape of a record/);
});

test.each<[string, number[], RecordLayout, RegExp]>([
  [
    'half a record',
    [1, 2, 3, 4, 5, 6, 7],
    {},
    /7 bytes, .* no whole number of records of 6 bytes \(0 before uint8/,
  ],
  ['an empty file', [], { label: 1 }, /0 bytes, .* records of 7 bytes/],
  ['another shape', [1, 2], { shape: [2] }, /shape \[2\] do not fit input 'image' of shape \[-1,1,2,3\]/],
  [
    'two means for three channels',
    [1],
    { mean: [1, 2] },
    /one for each of 3 channels for mean but received 1,2/,
  ],
  ['a division by zero', [1], { std: 0 }, /Expected numbers other than 0 for std/],
  ['a label of five bytes', [1], { label: 5 }, /Expected 0 to 4 bytes for label but received 5/],
])('refuses %s', async (_, bytes, layout, message) => {
  await expect(all(write(...bytes), layout)).rejects.toThrow(message);
});

test('names the number that is not finite, and the file that is missing', async () => {
  const file = write(...little(Float32Array.of(0, 1, 2, 3, Number.NaN, 5)));
  await expect(all(file, { dtype: 'float32' })).rejects.toThrow(/record 0 has NaN at its number 4/);
  await expect(all('/no/such/file.bin')).rejects.toThrow(/Cannot read \/no\/such\/file\.bin/);
});

test('refuses a model of two inputs', async () => {
  const two = [...inputs, { ...inputs[0], name: 'other' }];
  const [source] = [records(write(1))];
  await expect(source(two)[Symbol.asyncIterator]().next()).rejects.toThrow(/one input, but the model has 2/);
});

describe('a layout as text', () => {
  test('is the layout that it spells', () => {
    expect(parseRecordLayout('skip=1, label=2,dtype=int16,shape=3x4,layout=chw')).toEqual({
      skip: 1,
      label: 2,
      dtype: 'int16',
      shape: [3, 4],
      layout: 'chw',
    });
    expect(parseRecordLayout('')).toEqual({});
  });

  test.each([
    ['labels=1', /unknown field 'labels'; known: skip, label, dtype, shape, layout/],
    ['label=one', /a number of bytes for 'label' in the record layout but received 'one'/],
    ['shape=3x', /sizes such as 32x32x3 for 'shape'/],
    ['dtype=uint64', /uint8, int8, .* for 'dtype'/],
    ['layout=hw', /hwc or chw for 'layout'/],
    ['label', /a number of bytes for 'label'/],
    ['toString=1', /unknown field 'toString'/],
  ])('%s is refused', (text, message) => {
    expect(() => parseRecordLayout(text)).toThrow(message);
  });
});
