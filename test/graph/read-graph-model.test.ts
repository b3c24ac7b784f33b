import { mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setFloat16 } from '@petamoriken/float16';
import { LowbitError } from '../../src/base/errors';
import { toModelArtifacts } from '../../src/graph/encode-graph-model';
import { readModel } from '../../src/graph/read-model';
import { temporaryFolder } from '../support/tiny-model';

// biome-ignore lint/suspicious/noExplicitAny: model.json is damaged in ways that no type allows
type Json = any;

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => rmSync(folder, { recursive: true }));

const WEIGHTS = Float32Array.of(1, -2, 3, 4, 5, 6);

/** x [-1, 2] -> MatMul w [2, 3] -> y */
function model(): Json {
  return {
    format: 'graph-model',
    generatedBy: 'test',
    signature: {
      inputs: {
        x: { name: 'x:0', dtype: 'DT_FLOAT', tensorShape: { dim: [{ size: '-1' }, { size: '2' }] } },
      },
      outputs: { y: { name: 'y:0', dtype: 'DT_FLOAT' } },
    },
    modelTopology: {
      node: [
        { name: 'y', op: 'MatMul', input: ['x', 'w'], attr: {} },
        { name: 'x', op: 'Placeholder', attr: { dtype: { type: 'DT_FLOAT' } } },
        { name: 'w', op: 'Const', attr: { dtype: { type: 'DT_FLOAT' } } },
      ],
      versions: {},
    },
    weightsManifest: [
      { paths: ['a.bin', 'b.bin'], weights: [{ name: 'w', shape: [2, 3], dtype: 'float32' }] },
    ],
  };
}

function write(
  json: Json,
  a = new Uint8Array(WEIGHTS.buffer, 0, 16),
  b = new Uint8Array(WEIGHTS.buffer, 16, 8),
): string {
  writeFileSync(join(folder, 'a.bin'), a);
  writeFileSync(join(folder, 'b.bin'), b);
  const path = join(folder, 'model.json');
  writeFileSync(path, typeof json === 'string' ? json : JSON.stringify(json));
  return path;
}

function changed(change: (json: Json) => void): Json {
  const json = model();
  change(json);
  return json;
}

async function rejection(path: string): Promise<{ code: string; message: string }> {
  const error = await readModel(path).then(
    () => new Error('was read'),
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(LowbitError);
  return { code: error.code, message: error.message };
}

/** A model of one weight `w`, stored as told. */
function stored(weight: Json, bytes: Uint8Array<ArrayBuffer>): string {
  const json = changed((m) => {
    m.weightsManifest = [{ paths: ['a.bin'], weights: [{ name: 'w', ...weight }] }];
  });
  return write(json, bytes);
}

describe('a graph model', () => {
  test('is read in topological order, weights across shards', async () => {
    const graph = await readModel(pathToFileURL(write(model())).href);
    expect([...graph.nodes.keys()]).toEqual(['x', 'w', 'y']);
    expect(graph.constants.get('w')).toEqual({ dtype: 'float32', shape: [2, 3], values: WEIGHTS });
    expect(graph.inputs).toEqual([
      { name: 'x', ref: { node: 'x', index: 0 }, dtype: 'float32', shape: [-1, 2] },
    ]);
    expect(graph.outputs).toEqual([{ name: 'y', ref: { node: 'y', index: 0 }, dtype: 'float32' }]);
  });

  test('has its signature in the metadata, if there is one there', async () => {
    const json = changed((m) => {
      m.userDefinedMetadata = { signature: { ...m.signature, outputs: { z: { name: 'y:0' } } } };
    });
    expect((await readModel(write(json))).outputs[0].name).toBe('z');
  });

  test('without a signature feeds the placeholders and returns what nobody reads, never a constant', async () => {
    const json = changed((m) => {
      delete m.signature;
      m.modelTopology.node.push({ name: 'unused', op: 'Const', attr: {} });
      m.weightsManifest[0].weights[0].shape = [2, 2];
      m.weightsManifest[0].weights.push({ name: 'unused', shape: [2], dtype: 'float32' });
    });
    const graph = await readModel(write(json));
    expect(graph.inputs.map((i) => i.name)).toEqual(['x']);
    expect(graph.outputs.map((o) => o.name)).toEqual(['y']);
  });

  test('keeps control inputs apart from data', async () => {
    const json = changed((m) => {
      m.modelTopology.node[0].input.push('^x');
    });
    const y = (await readModel(write(json))).nodes.get('y');
    expect(y?.inputs).toHaveLength(2);
    expect(y?.controlInputs).toEqual(['x']);
  });

  test('waits for no NoOp, as TF.js would do for ever', async () => {
    const json = changed((m) => {
      m.modelTopology.node.push({ name: 'barrier', op: 'NoOp', input: ['^x'] });
      m.modelTopology.node[0].input.push('^barrier', '^x');
    });
    const { nodes } = await readModel(write(json));
    expect(nodes.get('y')?.controlInputs).toEqual(['x']);
    expect(nodes.get('barrier')?.controlInputs).toEqual(['x']);
  });

  test('may be deeper than the call stack', async () => {
    const json = changed((m) => {
      const { node } = m.modelTopology;
      for (let i = 0; i < 50_000; i++)
        node.unshift({ name: `n${i + 1}`, op: 'Relu', input: [i ? `n${i}` : 'y'], attr: {} });
    });
    expect((await readModel(write(json))).nodes.size).toBe(50_003);
  });
});

describe('weights are stored as', () => {
  test('uint8 and uint16 with scale and minimum', async () => {
    const quantization = { dtype: 'uint8', scale: 0.5, min: -1 };
    const eight = await readModel(
      stored({ shape: [3], dtype: 'float32', quantization }, Uint8Array.of(0, 1, 255)),
    );
    expect(eight.constants.get('w')?.values).toEqual(Float32Array.of(-1, -0.5, 126.5));
    const words = new Uint8Array(Uint16Array.of(0, 65535).buffer);
    const sixteen = { shape: [2], dtype: 'int32', quantization: { dtype: 'uint16', scale: 2, min: 1 } };
    expect((await readModel(stored(sixteen, words))).constants.get('w')?.values).toEqual(
      Int32Array.of(1, 131071),
    );
  });

  test('float16, with its subnormal numbers', async () => {
    const view = new DataView(new ArrayBuffer(6));
    [1.5, -65504, 2 ** -24].forEach((v, i) => {
      setFloat16(view, i * 2, v, true);
    });
    const weight = { shape: [3], dtype: 'float32', quantization: { dtype: 'float16' } };
    const graph = await readModel(stored(weight, new Uint8Array(view.buffer)));
    expect(graph.constants.get('w')?.values).toEqual(Float32Array.of(1.5, -65504, 2 ** -24));
  });

  test('int32, bool and strings, untouched', async () => {
    const int = await readModel(
      stored({ shape: [1], dtype: 'int32' }, new Uint8Array(Int32Array.of(-7).buffer)),
    );
    expect(int.constants.get('w')?.values).toEqual(Int32Array.of(-7));
    const bool = await readModel(stored({ shape: [2], dtype: 'bool' }, Uint8Array.of(0, 200)));
    expect([...bool.constants.get('w')!.values]).toEqual([0, 200]);
    const bytes = Uint8Array.of(2, 0, 0, 0, 104, 105, 0, 0, 0, 0);
    const string = await readModel(stored({ shape: [2], dtype: 'string' }, bytes));
    expect([...string.constants.get('w')!.values]).toEqual([...bytes]);
  });
});

/** x [-1, 2] -> MatMul w [2, 3] -> Minimum limit -> y */
function limited(limit: number): string {
  const json = changed((m) => {
    m.modelTopology.node[0].name = 'product';
    m.modelTopology.node.push(
      { name: 'limit', op: 'Const', attr: { dtype: { type: 'DT_FLOAT' } } },
      { name: 'y', op: 'Minimum', input: ['product', 'limit'], attr: {} },
    );
    m.weightsManifest[0].weights.push({ name: 'limit', shape: [], dtype: 'float32' });
  });
  const bytes = new Uint8Array(Float32Array.of(...WEIGHTS, limit).buffer);
  return write(json, bytes.subarray(0, 16), bytes.subarray(16));
}

test.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
  'a limit of %p is a number',
  async (limit) => {
    const graph = await readModel(limited(limit));
    expect([...graph.constants.get('limit')!.values]).toEqual([limit]);
  },
);

test('inputs of a signature that nobody feeds are passed over: tables, and what a converter has cut off', async () => {
  const json = changed((m) => {
    m.signature.inputs.table = { name: 'table:0', dtype: 'DT_RESOURCE', tensorShape: {}, resourceId: 7 };
    m.signature.inputs.variable = { name: 'x:0', dtype: 'DT_VARIANT' };
    m.signature.inputs.unused = { name: 'unused:0', dtype: 'DT_FLOAT' };
    m.signature.inputs.empty = { dtype: 'DT_FLOAT' };
  });
  const graph = await readModel(write(json));
  expect(graph.inputs.map(({ name }) => name)).toEqual(['x']);
  const { signature } = toModelArtifacts(graph) as Json;
  expect(signature.inputs.table).toEqual({
    name: 'table:0',
    dtype: 'DT_RESOURCE',
    tensorShape: {},
    resourceId: 7,
  });
});

describe('a damaged model is refused:', () => {
  test.each<[string, (m: Json) => void, string, RegExp]>([
    [
      'missing shard',
      (m) => m.weightsManifest[0].paths.push('c.bin'),
      'invalid-weights',
      /'c\.bin' cannot be read/,
    ],
    [
      'shard outside',
      (m) => {
        m.weightsManifest[0].paths[1] = '../b.bin';
      },
      'invalid-weights',
      /'\.\.\/b\.bin' lies outside/,
    ],
    [
      'absolute shard',
      (m) => {
        m.weightsManifest[0].paths[1] = '/etc/passwd';
      },
      'invalid-weights',
      /lies outside/,
    ],
    [
      'shard by URL',
      (m) => {
        m.weightsManifest[0].paths[1] = 'http://host/b.bin';
      },
      'invalid-weights',
      /lies outside/,
    ],
    [
      'shard that is a folder',
      (m) => {
        m.weightsManifest[0].paths[1] = '.';
      },
      'invalid-weights',
      /not a file/,
    ],
    [
      'unknown dtype',
      (m) => {
        m.weightsManifest[0].weights[0].dtype = 'float64';
      },
      'invalid-weights',
      /'w'.*found 'float64'/,
    ],
    [
      'shape past 2^53',
      (m) => {
        m.weightsManifest[0].weights[0].shape = [2 ** 30, 2 ** 30];
      },
      'invalid-weights',
      /'w'.*past 2\^53/,
    ],
    [
      'shape of more than there is',
      (m) => {
        m.weightsManifest[0].weights[0].shape = [2 ** 25, 2 ** 25];
      },
      'invalid-weights',
      /truncated/,
    ],
    [
      'negative dimension',
      (m) => {
        m.weightsManifest[0].weights[0].shape = [-2, -3];
      },
      'invalid-weights',
      /non-negative/,
    ],
    [
      'zero-size dimension',
      (m) => {
        m.weightsManifest[0].weights[0].shape = [0, 3];
      },
      'invalid-weights',
      /size zero/,
    ],
    [
      'zero-size input',
      (m) => {
        m.signature.inputs.x.tensorShape.dim[1].size = '0';
      },
      'invalid-model',
      /Input 'x'.*positive/,
    ],
    [
      'input past 2^53',
      (m) => {
        m.signature.inputs.x.tensorShape.dim[1].size = '9007199254740993';
      },
      'invalid-model',
      /Input 'x'/,
    ],
    [
      'unknown quantization',
      (m) => {
        m.weightsManifest[0].weights[0].quantization = { dtype: 'int4' };
      },
      'invalid-weights',
      /'w'.*'int4'/,
    ],
    [
      'quantization without scale',
      (m) => {
        m.weightsManifest[0].weights[0].quantization = { dtype: 'uint8', min: 0 };
      },
      'invalid-weights',
      /finite numbers/,
    ],
    [
      'weight listed twice',
      (m) => {
        m.weightsManifest[0].weights = [
          { name: 'w', shape: [3], dtype: 'float32' },
          { name: 'w', shape: [3], dtype: 'float32' },
        ];
      },
      'invalid-weights',
      /'w' is listed twice/,
    ],
    [
      'no manifest',
      (m) => {
        delete m.weightsManifest;
      },
      'invalid-weights',
      /weightsManifest/,
    ],
    [
      'missing input',
      (m) => {
        m.modelTopology.node[0].input[0] = 'nobody';
      },
      'invalid-model',
      /'y' \(MatMul\) reads 'nobody'/,
    ],
    [
      'cycle',
      (m) => {
        m.modelTopology.node[0].input[0] = 'y';
      },
      'invalid-model',
      /cycle: y -> y/,
    ],
    [
      'two nodes of a name',
      (m) => m.modelTopology.node.push({ name: 'y', op: 'Relu', input: ['x'] }),
      'invalid-model',
      /Two nodes have the name 'y'/,
    ],
    [
      'constant without weights',
      (m) => m.modelTopology.node.push({ name: 'c', op: 'Const' }),
      'invalid-model',
      /'c' has no weights/,
    ],
    [
      'output that is not there',
      (m) => {
        m.signature.outputs.y.name = 'z:0';
      },
      'invalid-model',
      /'y' refers to 'z'/,
    ],
    [
      'node without a name',
      (m) => {
        delete m.modelTopology.node[0].name;
      },
      'invalid-model',
      /without a name/,
    ],
    [
      'malformed reference',
      (m) => {
        m.modelTopology.node[0].input[0] = 'x:one';
      },
      'invalid-model',
      /'x:one'/,
    ],
    [
      'no topology',
      (m) => {
        delete m.modelTopology;
      },
      'invalid-model',
      /modelTopology/,
    ],
    [
      'converted already',
      (m) => {
        m.userDefinedMetadata = { lowbit: { formatVersion: 1 } };
      },
      'already-converted',
      /float model/,
    ],
  ])('%s', async (_, change, code, message) => {
    const error = await rejection(write(changed(change)));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
  });

  test('malformed JSON, something else than an object, no file', async () => {
    expect((await rejection(write('{"format": '))).message).toContain('not valid JSON');
    expect((await rejection(write('[]'))).code).toBe('invalid-model');
    expect((await rejection(join(folder, 'nothing.json'))).code).toBe('io');
  });

  test('a last shard that is truncated, naming it and its sizes', async () => {
    const path = write(model());
    truncateSync(join(folder, 'b.bin'), 5);
    expect((await rejection(path)).message).toMatch(/'b\.bin' is truncated: expected 8 bytes but found 5/);
  });

  test('the first of two shards of 4 MiB', async () => {
    const json = changed((m) => {
      m.weightsManifest[0].weights[0].shape = [2 ** 20 + 1];
    });
    const path = write(json, new Uint8Array(2 ** 22 - 6), new Uint8Array(4));
    expect((await rejection(path)).message).toMatch(/'a\.bin' is truncated: expected 4194304 bytes/);
  });

  test('a middle shard that is shorter than the others', async () => {
    const json = changed((m) => {
      m.weightsManifest[0].paths = ['c.bin', 'a.bin', 'b.bin'];
      m.weightsManifest[0].weights[0].shape = [40];
    });
    const path = write(json, new Uint8Array(60), new Uint8Array(32));
    writeFileSync(join(folder, 'c.bin'), new Uint8Array(64));
    expect((await rejection(path)).message).toMatch(/'a\.bin' is truncated: expected 64 bytes but found 60/);
  });

  test('shards that are too long', async () => {
    const error = await rejection(write(model(), undefined, new Uint8Array(9)));
    expect(error.message).toMatch(/'b\.bin' is too long: expected 8 bytes but found 9/);
  });

  test('a string longer than the shard', async () => {
    const bytes = Uint8Array.of(255, 255, 255, 127, 1);
    expect((await rejection(stored({ shape: [1], dtype: 'string' }, bytes))).message).toContain('string 0');
  });

  test('a shard that is a link out of the folder is followed like a file, a folder is not', async () => {
    const json = changed((m) => {
      m.weightsManifest[0].paths = ['link.bin'];
    });
    const path = write(json);
    mkdirSync(join(folder, 'elsewhere'));
    symlinkSync(join(folder, 'elsewhere'), join(folder, 'link.bin'));
    expect((await rejection(path)).message).toContain('not a file');
    expect(readFileSync(path).length).toBeGreaterThan(0);
  });
});
