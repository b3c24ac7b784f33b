import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attr } from '../../src/graph/attrs';
import type { Graph } from '../../src/graph/ir';
import { readModel } from '../../src/graph/read-model';
import { writeGraphModel } from '../../src/graph/write-graph-model';
import { FloatGraph } from '../support/float-graph';
import { randomOf } from '../support/random';
import { temporaryFolder } from '../support/tiny-model';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => rmSync(folder, { recursive: true }));

function graph(metadata?: object): Graph {
  const built = new FloatGraph(randomOf('write', 0))
    .input('x', [-1, 2])
    .weights('w', [2, 3])
    .constant('halves', [1, 3], [0.5, -2, 1024])
    .node('product', 'MatMul', ['x', 'w'])
    .node('y', 'AddV2', ['product', 'halves'], { T: attr.dtype('float32') })
    .build('y', 'product');
  return { ...built, source: { generatedBy: 'test', ...(metadata && { userDefinedMetadata: metadata }) } };
}

const files = (path: string) =>
  Object.fromEntries(readdirSync(path).map((f) => [f, readFileSync(join(path, f))]));

test('what is written is read back', async () => {
  const written = graph({ author: 'me' });
  const out = join(folder, 'out');
  const bytes = await writeGraphModel(written, out);
  expect(bytes).toBe(Object.values(files(out)).reduce((sum, f) => sum + f.length, 0));
  const read = await readModel(join(out, 'model.json'));
  expect(read.constants).toEqual(written.constants);
  expect([...read.nodes]).toEqual([...written.nodes]);
  expect(read.outputs).toEqual(written.outputs);
  expect(read.source).toMatchObject({ generatedBy: 'test', userDefinedMetadata: { author: 'me' } });
});

test('the same graph gives the same bytes', async () => {
  await writeGraphModel(graph(), join(folder, 'a'));
  await writeGraphModel(graph(), join(folder, 'b'));
  expect(files(join(folder, 'a'))).toEqual(files(join(folder, 'b')));
});

test('what half precision holds exactly is stored so, nothing else', async () => {
  const out = join(folder, 'out');
  await writeGraphModel(graph(), out);
  const [group] = JSON.parse(readFileSync(join(out, 'model.json'), 'utf8')).weightsManifest;
  expect(group.weights.map((w: { quantization?: object }) => w.quantization)).toEqual([
    undefined,
    { dtype: 'float16' },
  ]);
});

test('constants say what they are, for viewers of models', async () => {
  const out = join(folder, 'out');
  await writeGraphModel(graph(), out);
  const { node } = JSON.parse(readFileSync(join(out, 'model.json'), 'utf8')).modelTopology;
  expect(node.find(({ name }: { name: string }) => name === 'w').attr.value).toEqual({
    tensor: { dtype: 'DT_FLOAT', tensorShape: { dim: [{ size: '2' }, { size: '3' }] } },
  });
});

/** A model of one product whose weights, of 256 KiB or of a few bytes, are stored in `dtype`. */
function writeStored(dtype: 'uint8' | 'uint16', columns: number): { path: string; codes: Uint8Array } {
  const bytes = Uint8Array.from(
    { length: 2 * columns * (dtype === 'uint8' ? 1 : 2) },
    (_, i) => (i * 37) % 256,
  );
  const quantization = { dtype, scale: 0.013, min: -1.5 };
  writeFileSync(join(folder, 'w.bin'), bytes);
  writeFileSync(
    join(folder, 'model.json'),
    JSON.stringify({
      format: 'graph-model',
      signature: {
        inputs: {
          x: { name: 'x:0', dtype: 'DT_FLOAT', tensorShape: { dim: [{ size: '1' }, { size: '2' }] } },
        },
        outputs: { y: { name: 'y:0', dtype: 'DT_FLOAT' } },
      },
      modelTopology: {
        node: [
          { name: 'x', op: 'Placeholder', attr: { dtype: { type: 'DT_FLOAT' } } },
          { name: 'w', op: 'Const', attr: { dtype: { type: 'DT_FLOAT' } } },
          { name: 'y', op: 'MatMul', input: ['x', 'w'], attr: {} },
        ],
        versions: {},
      },
      weightsManifest: [
        { paths: ['w.bin'], weights: [{ name: 'w', shape: [2, columns], dtype: 'float32', quantization }] },
      ],
    }),
  );
  return { path: join(folder, 'model.json'), codes: bytes };
}

test.each([
  ['uint8', 5],
  ['uint8', 131072],
  ['uint16', 5],
  ['uint16', 65536],
] as const)('weights stored as %s, 2x%d of them, stay so, to the same values', async (dtype, columns) => {
  const { path, codes } = writeStored(dtype, columns);
  const read = await readModel(path);
  const values = dtype === 'uint8' ? codes : new Uint16Array(codes.buffer);
  expect(read.constants.get('w')!.values).toEqual(Float32Array.from(values, (v) => v * 0.013 - 1.5));
  const out = join(folder, 'out');
  await writeGraphModel(read, out);
  const [{ weights }] = JSON.parse(readFileSync(join(out, 'model.json'), 'utf8')).weightsManifest;
  expect(weights[0].quantization).toEqual({ dtype, scale: 0.013, min: -1.5 });
  const again = await readModel(join(out, 'model.json'));
  expect(again.constants.get('w')!.values).toEqual(read.constants.get('w')!.values);
});

test('shards have at most 4 MiB and a weight may span them', async () => {
  const large = new FloatGraph(randomOf('write', 1))
    .input('x', [1])
    .weights('w', [2_200_000])
    .node('y', 'Mul', ['x', 'w']);
  const out = join(folder, 'out');
  await writeGraphModel(large.build('y'), out);
  const sizes = readdirSync(out)
    .filter((f) => f.endsWith('.bin'))
    .map((f) => statSync(join(out, f)).size);
  expect(sizes).toEqual([4194304, 4194304, 411392]);
  const { constants } = await readModel(join(out, 'model.json'));
  const written = large.build('y').constants.get('w')!.values;
  expect(Buffer.compare(Buffer.from(constants.get('w')!.values.buffer), Buffer.from(written.buffer))).toBe(0);
});

test('a signature is kept as it was written, entry by entry', async () => {
  const entry = { name: 'y', dtype: 1, tensorShape: { unknownRank: true }, resourceId: 7 };
  const source = { ...graph().source, signature: { inputs: {}, outputs: { y: entry } } };
  const out = join(folder, 'out');
  await writeGraphModel({ ...graph(), source }, out);
  const { signature } = JSON.parse(readFileSync(join(out, 'model.json'), 'utf8'));
  expect(signature.outputs.y).toEqual(entry);
  expect(Object.keys(signature.outputs)).toEqual(['y', 'product']);
});

describe('an output folder', () => {
  test('is replaced when it holds a model of ours', async () => {
    const out = join(folder, 'out');
    await writeGraphModel(graph({ lowbit: {} }), out);
    writeFileSync(join(out, 'old-shard.bin'), 'old');
    await writeGraphModel(graph({ lowbit: {} }), out);
    expect(readdirSync(out)).not.toContain('old-shard.bin');
  });

  test('is kept when it holds a model of others, unless overwriting is allowed', async () => {
    const out = join(folder, 'out');
    await writeGraphModel(graph(), out);
    const before = files(out);
    await expect(writeGraphModel(graph({ a: 1 }), out)).rejects.toMatchObject({ code: 'io' });
    expect(files(out)).toEqual(before);
    await writeGraphModel(graph({ a: 1 }), out, { overwrite: true });
    expect(files(out)).not.toEqual(before);
  });

  test('is never replaced when it holds anything else', async () => {
    const out = join(folder, 'out');
    mkdirSync(out);
    writeFileSync(join(out, 'thesis.txt'), 'ten years');
    await expect(writeGraphModel(graph(), out, { overwrite: true })).rejects.toThrow(/thesis\.txt/);
    expect(readdirSync(out)).toEqual(['thesis.txt']);
  });

  test('does not appear when writing is aborted, nor does anything else', async () => {
    const controller = new AbortController();
    controller.abort();
    const writing = writeGraphModel(graph(), join(folder, 'out'), { signal: controller.signal });
    await expect(writing).rejects.toMatchObject({ code: 'cancelled' });
    expect(readdirSync(folder)).toEqual([]);
  });

  test('cannot be a file', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    await expect(writeGraphModel(graph(), join(file, 'out'))).rejects.toMatchObject({ code: 'io' });
    expect(existsSync(file)).toBe(true);
  });
});

test('the model of the demo has the dtype and shape of every constant where viewers read them', () => {
  const file = join(__dirname, '..', '..', 'examples', 'demo', 'model', 'model.json');
  const { modelTopology, weightsManifest } = JSON.parse(readFileSync(file, 'utf8'));
  const stored = weightsManifest.flatMap(
    ({ weights }: { weights: { name: string; shape: number[] }[] }) => weights,
  );
  const shapes = new Map(
    stored.map(({ name, shape }: { name: string; shape: number[] }) => [name, shape.map(String)]),
  );
  const constants = modelTopology.node.filter(({ op }: { op: string }) => op === 'Const');
  expect(constants).toHaveLength(shapes.size);
  for (const { name, attr } of constants) {
    expect(attr.value.tensor.dtype).toBe(attr.dtype.type);
    expect(attr.value.tensor.tensorShape.dim.map(({ size }: { size: string }) => size)).toEqual(
      shapes.get(name),
    );
  }
});
