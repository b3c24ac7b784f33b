// @needs engine
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packExperts } from '../../src/moe/pack';
import { packExpert } from '../../src/moe/store/expert-bytes';
import { fileSource } from '../../src/moe/store/file-source';
import { Random } from '../support/random';

const random = new Random(4);
const draw = (count: number) => Float32Array.from({ length: count }, () => random.real(-1, 1));

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lowbit-pack-'));
});

afterEach(() => rm(folder, { recursive: true }));

/** A model.json whose topology nobody looks at. */
async function writeModel(
  weights: Record<string, { shape: number[]; values: Float32Array }>,
): Promise<string> {
  const entries = Object.entries(weights);
  await mkdir(join(folder, 'model'), { recursive: true });
  await writeFile(
    join(folder, 'model', 'weights.bin'),
    Buffer.concat(entries.map(([, { values }]) => Buffer.from(values.buffer))),
  );
  const specs = entries.map(([name, { shape }]) => ({ name, shape, dtype: 'float32' }));
  const path = join(folder, 'model', 'model.json');
  const manifest = [{ paths: ['weights.bin'], weights: specs }];
  await writeFile(
    path,
    JSON.stringify({ format: 'layers-model', modelTopology: {}, weightsManifest: manifest }),
  );
  return path;
}

const transpose = (values: Float32Array, rows: number, columns: number) =>
  Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);

async function bytesOf(path: string, layer: number, expert: number): Promise<Uint8Array> {
  const source = await fileSource(path);
  const record = source.index.records.find((r) => r.layer === layer && r.expert === expert)!;
  const into = new Uint8Array(8192);
  await source.read(record, into);
  await source.close();
  return into.subarray(0, record.bytes);
}

test('packs experts that lie in weights of their own, and those that lie in one', async () => {
  const layout = { width: 6, hidden: 10, activation: 'silu', gated: false } as const;
  const ups = [0, 1, 2, 3].map(() => draw(60));
  const downs = [0, 1, 2, 3].map(() => draw(60));
  const bias = [0, 1, 2, 3].map(() => draw(10));
  const expected = packExpert(
    layout,
    {
      up: { values: transpose(ups[3]!, 6, 10), bias: bias[3] },
      down: { values: transpose(downs[3]!, 10, 6) },
    },
    { format: 'int8' },
  );
  const own = Object.fromEntries(
    [0, 1, 2, 3].flatMap((i) => {
      const name = `block_${Math.floor(i / 2)}/expert_${i % 2}`;
      return [
        [`${name}/up`, { shape: [6, 10], values: ups[i]! }],
        [`${name}/bias`, { shape: [10], values: bias[i]! }],
        [`${name}/down`, { shape: [10, 6], values: downs[i]! }],
      ];
    }),
  );
  const join2 = (a: Float32Array, b: Float32Array) => Float32Array.from([...a, ...b]);
  const stacked = Object.fromEntries(
    [0, 1].flatMap((layer) => [
      [`block_${layer}/up`, { shape: [2, 6, 10], values: join2(ups[2 * layer]!, ups[2 * layer + 1]!) }],
      [`block_${layer}/bias`, { shape: [2, 10], values: join2(bias[2 * layer]!, bias[2 * layer + 1]!) }],
      [`block_${layer}/down`, { shape: [2, 10, 6], values: join2(downs[2 * layer]!, downs[2 * layer + 1]!) }],
    ]),
  );
  for (const [weights, prefix] of [
    [own, 'block_{layer}/expert_{expert}'],
    [stacked, 'block_{layer}'],
  ] as const) {
    const output = join(folder, 'experts');
    const report = await packExperts({
      input: await writeModel(weights),
      output,
      names: { up: `${prefix}/up`, upBias: `${prefix}/bias`, down: `${prefix}/down` },
      activation: 'silu',
      formats: [{ format: 'int8' }],
    });
    expect(report).toMatchObject({ layers: 2, experts: 2, layout });
    expect(report.precisions).toEqual([
      { name: 'int8', expertBytes: expected.length, bytes: 4 * expected.length },
    ]);
    expect(await bytesOf(output, 1, 1)).toEqual(expected);
  }
});

test('says which weight is missing or does not fit, and writes nothing', async () => {
  const output = join(folder, 'experts');
  const pack = async (weights: Parameters<typeof writeModel>[0], names: object = {}) =>
    packExperts({
      input: await writeModel(weights),
      output,
      names: { up: 'up_{layer}', down: 'down_{layer}', ...names },
      activation: 'relu',
      formats: [{ format: 'int8' }],
    });
  const up = { shape: [2, 3, 4], values: draw(24) };
  await expect(pack({ other: up })).rejects.toThrow(
    "no weight 'up_0', as up_{layer} would be named; it has other",
  );
  await expect(pack({ up_0: up })).rejects.toThrow("Weight 'down_0' is not there");
  await expect(pack({ up_0: up, down_0: { shape: [3, 4, 3], values: draw(36) } })).rejects.toThrow(
    "Weight 'down_0' is of 3 experts",
  );
  await expect(pack({ up_0: up, down_0: { shape: [2, 12], values: draw(24) } })).rejects.toThrow(
    'has shape [2,12]',
  );
  const values = draw(24);
  values[3] = Number.NaN;
  await expect(
    pack({ up_0: { ...up, values }, down_0: { shape: [2, 4, 3], values: draw(24) } }),
  ).rejects.toThrow();
  expect(existsSync(output)).toBe(false);
  expect(existsSync(`${output}.partial`)).toBe(false);
});

test('the command tells what it wrote', async () => {
  const input = await writeModel({
    'moe_0/up': { shape: [2, 3, 4], values: draw(24) },
    'moe_0/down': { shape: [2, 4, 3], values: draw(24) },
  });
  const main = join(__dirname, '../../dist/src/cli/main.js');
  const output = join(folder, 'experts.lbme');
  const names = ['--up', 'moe_{layer}/up', '--down', 'moe_{layer}/down'];
  const run = (...more: string[]) =>
    promisify(execFile)(process.execPath, [
      main,
      'moe',
      'pack',
      '--input',
      input,
      '--output',
      output,
      ...names,
      ...more,
    ]);
  const { stdout } = await run('--formats', 'int8,uniform2');
  expect(stdout).toContain('1 layer(s) of 2 experts, 3 x 4, relu');
  expect((await fileSource(output)).index.precisions.map(({ name }) => name)).toEqual(['int8', 'uniform2']);
  await expect(run('--formats', 'int5')).rejects.toThrow('Expected int8, ');
});
