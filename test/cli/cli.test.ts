// @needs addon
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { dump } from 'npyjs';
import sharp from 'sharp';
import { writeGraphModel } from '../../src/graph/write-graph-model';
import { FloatGraph, windowAttrs } from '../support/float-graph';
import { randomOf } from '../support/random';
import { TINY_SIZE, temporaryFolder, writeTinyModel } from '../support/tiny-model';

const MAIN = resolve(__dirname, '..', '..', 'dist', 'src', 'cli', 'main.js');

function cli(...args: string[]): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
}

let float: string;
let images: string;
let labels: string;
let output: string;

/** Coloured squares, one picture a file. */
async function writeImages(folder: string, count: number): Promise<void> {
  mkdirSync(join(folder, 'sub'), { recursive: true });
  for (let i = 0; i < count; i++) {
    const background = { r: (i * 67) % 256, g: (i * 131) % 256, b: (i * 199) % 256 };
    const file = join(folder, i % 2 === 0 ? '.' : 'sub', `image-${i}.png`);
    await sharp({ create: { width: 20, height: 14, channels: 3, background } })
      .png()
      .toFile(file);
  }
}

beforeAll(async () => {
  float = writeTinyModel();
  images = join(temporaryFolder(), 'images');
  await writeImages(images, 8);
  labels = join(dirname(images), 'labels.json');
  writeFileSync(
    labels,
    JSON.stringify({ 'images/image-0.png': 1, 'images/sub/image-1.png': { index: 2, name: 'two' } }),
  );
  output = join(temporaryFolder(), 'int8');
});

const convertArgs = (to: string, ...more: string[]) => [
  'convert',
  '--input',
  float,
  '--output',
  to,
  '--calibration',
  images,
  ...more,
];

describe('tfjs-lowbit', () => {
  test.each(['convert', 'inspect', 'formats', 'compare', 'bench'])('%s --help has an example', (command) => {
    const { status, stdout } = cli(command, '--help');
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`Example:\\n {2}tfjs-lowbit ${command} `));
  });

  test('convert prints a summary on stdout and writes a model', () => {
    const { status, stdout, stderr } = cli(...convertArgs(output, '--skip', 'probabilities'));
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/nodes in INT8 +│ 4, in 1 region/);
    expect(stdout).toMatch(/probabilities +│ Softmax +│ left in float by configuration/);
    expect(readdirSync(output)).toContain('model.json');
  });

  test('convert --json tells the same', () => {
    const { status, stdout } = cli(
      ...convertArgs(output, '--json', '--calibration-method', 'minmax', '--samples', '4', '--skip', 'mean'),
    );
    const report = JSON.parse(stdout);
    expect(status).toBe(0);
    expect(report.calibration).toMatchObject({ method: 'minmax', samples: 4 });
    expect(report.float).toEqual([expect.objectContaining({ name: 'mean', op: 'Mean' })]);
    expect(report.bytes.before).toBeGreaterThan(0);
  });

  test('convert --report writes a page or data beside the model', () => {
    const folder = temporaryFolder();
    const [page, data] = [join(folder, 'report.html'), join(folder, 'report.json')];
    expect(cli(...convertArgs(output, '--report', page)).stdout).toContain(page);
    expect(readFileSync(page, 'utf8')).toMatch(/^<!doctype html>/);
    const { status, stdout } = cli(...convertArgs(output, '--report', data, '--json'));
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ report: data, nodeData: join(folder, 'report-node-data') });
    expect(readdirSync(join(folder, 'report-node-data'))).toContain('signal-to-noise.json');
    const report = JSON.parse(readFileSync(data, 'utf8'));
    expect(report.layers.map(({ name }: { name: string }) => name)).toContain('depthwise');
  });

  test('compare --layers tells of every layer', () => {
    cli(...convertArgs(output, '--recipe', 'fast'));
    const args = [
      '--float',
      float,
      '--lowbit',
      join(output, 'model.json'),
      '--images',
      images,
      '--no-memory',
    ];
    const { status, stdout } = cli('compare', ...args, '--layers');
    expect(status).toBe(0);
    for (const name of ['conv', 'depthwise', 'mean', 'logits']) {
      expect(stdout).toMatch(new RegExp(`│ ${name} +│.*│ int8 +│ +(int8, [\\d.]+)? +│ +[\\d.]+ dB`));
    }
    expect(stdout).toMatch(/│ probabilities +│ Softmax +│ (int8|float32)/);
  });

  test('converting twice gives the same bytes, whatever the number of threads and the instruction set', () => {
    const folder = temporaryFolder();
    const environments = [
      { LOWBIT_NUM_THREADS: '1' },
      { LOWBIT_NUM_THREADS: '2' },
      { LOWBIT_NUM_THREADS: '2', LOWBIT_ISA: 'scalar' },
    ];
    // The sequential correction runs what is quantized already in the engine.
    const outputs = environments.map((environment, i) => {
      const to = join(folder, `${i}`);
      const args = [MAIN, ...convertArgs(to, '--bias-correction', 'sequential')];
      const { status } = spawnSync(process.execPath, args, { env: { ...process.env, ...environment } });
      expect(status).toBe(0);
      return to;
    });
    for (const file of readdirSync(outputs[0])) {
      const [first, ...others] = outputs.map((to) => readFileSync(join(to, file)));
      for (const other of others) expect(other.equals(first)).toBe(true);
    }
  });

  test('inspect tells ops and what can be quantized', () => {
    const { status, stdout } = cli('inspect', float, '--json');
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.quantizable.macsPercent).toBe(100);
    const convolution = report.ops.find(({ op }: { op: string }) => op === '_FusedConv2D');
    expect(convolution).toMatchObject({ nodes: 1, macs: TINY_SIZE * TINY_SIZE * 27 * 6 });
    expect(cli('inspect', float).stdout).toMatch(/INT8 takes 100.00 % of the multiply-accumulates/);
  });

  test('inspect tells how a converted model was made', () => {
    cli(...convertArgs(output, '--recipe', 'fast'));
    const model = join(output, 'model.json');
    const { status, stdout } = cli('inspect', model, '--json');
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ regions: 1, calibration: { method: 'mse' } });
    const conv = report.layers.find(({ name }: { name: string }) => name === 'conv');
    expect(conv).toMatchObject({ precision: 'int8', result: { bits: 8, zeroPoint: -128 } });
    expect(conv.result.scale).toBeCloseTo(6 / 255, 1);
    expect(cli('inspect', model).stdout).toMatch(
      /│ conv +│ _FusedConv2D +│ int8 +│ int8 +│ 9\.19 +│ 0\.\d+, -128 +│/,
    );
    expect(cli('inspect', model, '--region', report.regionNames[0]).stdout).toMatch(
      /│ #0 +│ image +│ Quantize +│ image:0 +│ int8 +│ \[\?, \d+, \d+, 3\] +│ 0\.\d+, -?\d+ +│/,
    );
  });

  test('compare tells accuracy, agreement, noise, latency and memory', () => {
    cli(...convertArgs(output));
    const { status, stdout, stderr } = cli(
      'compare',
      '--float',
      float,
      '--lowbit',
      join(output, 'model.json'),
      '--images',
      images,
      '--labels',
      labels,
      '--json',
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.samples).toBe(8);
    expect(report.top1.labelled).toBe(2);
    expect(report.agreement).toBeGreaterThanOrEqual(75);
    expect(report.outputs.map(({ name }: { name: string }) => name)).toEqual(['probabilities', 'logits']);
    expect(report.outputs[1].signalToNoise).toBeGreaterThan(20);
    expect(report.latency.lowbit).toBeGreaterThan(0);
    expect(report.memory.lowbit.peak).toBeGreaterThanOrEqual(report.memory.lowbit.resident);
  });

  test('compare measures the memory of a model whose images have any size', async () => {
    const graph = new FloatGraph(randomOf('any size', 0))
      .input('image', [-1, -1, -1, 3])
      .weights('w', [3, 3, 3, 8])
      .node('conv', 'Conv2D', ['image', 'w'], windowAttrs())
      .build('conv');
    const [source, to] = ['any', 'out'].map((name) => join(temporaryFolder(), name));
    await writeGraphModel(graph, source);
    const model = join(source, 'model.json');
    const size = ['--image-size', '20'];
    expect(cli('convert', '--input', model, '--output', to, '--calibration', images, ...size).stderr).toBe(
      '',
    );
    const compared = cli(
      ...[
        'compare',
        '--float',
        model,
        '--lowbit',
        join(to, 'model.json'),
        '--images',
        images,
        ...size,
        '--json',
      ],
    );
    expect(compared.stderr).toBe('');
    expect(JSON.parse(compared.stdout).memory.lowbit).toMatchObject({ uncertainty: expect.any(Number) });
  });

  test('records bring data to convert and labels to compare', () => {
    const [records, count] = [join(temporaryFolder(), 'data.bin'), 6];
    const bytes = TINY_SIZE ** 2 * 3 + 1;
    writeFileSync(
      records,
      Uint8Array.from({ length: bytes * count }, (_, i) => (i % bytes === 0 ? 1 : (i * 97) % 256)),
    );
    const data = ['--records', records, '--record-layout', 'label=1', '--mean', '127.5', '--std', '127.5'];
    const to = join(temporaryFolder(), 'out');
    const converted = cli('convert', '--input', float, '--output', to, ...data, '--json');
    expect(converted.stderr).toBe('');
    expect(JSON.parse(converted.stdout).calibration.samples).toBe(5);
    expect(JSON.parse(converted.stdout).recipe.samples).toBe(count);
    const models = ['--float', float, '--lowbit', join(to, 'model.json')];
    const compared = cli('compare', ...models, ...data, '--no-memory', '--limit', '4', '--json');
    expect(JSON.parse(compared.stdout)).toMatchObject({ samples: 4, top1: { labelled: 4 } });
  });

  test('a module yields the samples of both commands', () => {
    const module = join(temporaryFolder(), 'samples.mjs');
    writeFileSync(
      module,
      `export default function* ([{ name, shape: [, height, width, channels] }]) {
        for (let i = 0; i < 5; i++) {
          const values = Float32Array.from({ length: height * width * channels }, (_, j) => Math.sin(i + j));
          yield { [name]: { dtype: 'float32', shape: [1, height, width, channels], values } };
        }
      }`,
    );
    const to = join(temporaryFolder(), 'out');
    const converted = cli(
      ...['convert', '--input', float, '--output', to, '--calibration', module, '--json'],
    );
    expect(converted.stderr).toBe('');
    expect(JSON.parse(converted.stdout).calibration.samples).toBe(4);
    const models = ['--float', float, '--lowbit', join(to, 'model.json')];
    const compared = cli('compare', ...models, '--data', module, '--no-memory', '--json');
    expect(JSON.parse(compared.stdout).samples).toBe(5);
  });

  test('convert writes what it decided, and takes it back', () => {
    const folder = temporaryFolder();
    const [config, first, second] = ['lowbit.json', 'first', 'second'].map((name) => join(folder, name));
    const written = cli(
      ...convertArgs(
        first,
        '--skip',
        'depthwise',
        '--write-config',
        config,
        '--samples',
        '4',
        '--no-regions',
      ),
    );
    expect([written.stderr, written.status]).toEqual(['', 0]);
    expect(JSON.parse(readFileSync(config, 'utf8'))).toMatchObject({
      regions: false,
      calibration: { samples: 4 },
    });
    expect(cli(...convertArgs(second, '--config', config)).status).toBe(0);
    for (const file of readdirSync(first)) {
      expect(readFileSync(join(second, file)).equals(readFileSync(join(first, file)))).toBe(true);
    }
    writeFileSync(config, '{"skip": "head"}');
    const { status, stderr } = cli(...convertArgs(join(folder, 'third'), '--config', config));
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/lowbit\.json is no valid configuration: skip: /),
    ]);
  });

  test('convert --dry-run tells what it would do', () => {
    const args = ['convert', '--input', float, '--calibration', images, '--dry-run'];
    const { status, stdout, stderr } = cli(...args);
    expect([stderr, status]).toEqual(['', 0]);
    expect(stdout).toMatch(/multiply-accumulates +│ 0.00 % +│ 100.00 %/);
    expect(stdout).toMatch(/alone in INT8, worst first/);
  });

  test('random data is used only when asked for, with a warning', () => {
    const args = ['convert', '--input', float, '--output', join(temporaryFolder(), 'out'), '--samples', '3'];
    const { status, stdout } = cli(...args, '--calibration', 'random');
    expect(status).toBe(0);
    expect(stdout).toMatch(/warning: Calibrated on random data/);
    const without = cli(...args.slice(0, -2));
    expect(without.status).toBe(0);
    expect(without.stdout).toMatch(/warning: Without calibration data, scales are computed/);
    expect(without.stdout).not.toMatch(/random/);
  });

  test('bench tells medians for each number of threads', () => {
    cli(...convertArgs(output));
    const { status, stdout } = cli(
      'bench',
      '--model',
      join(output, 'model.json'),
      '--float',
      float,
      '--threads',
      '1,2',
      '--runs',
      '5',
      '--batch',
      '2',
      '--json',
    );
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.results.map(({ threads }: { threads: number }) => threads)).toEqual([1, 2]);
    expect(report.results[0].model.median).toBeGreaterThan(report.results[0].javascriptOverhead);
    expect(report.results[0].speedup).toBeGreaterThan(0);
  });
});

describe('failures exit with 1, say why on stderr, and leave nothing behind', () => {
  const cases: [string, () => string[], RegExp][] = [
    ['no such model', () => ['inspect', '/no/such/model.json'], /Cannot read .*model\.json/],
    ['unknown option', () => ['inspect', '--frobnicate'], /unknown option '--frobnicate'/],
    ['missing option', () => ['convert', '--input', float], /required option '--output <folder>'/],
    [
      'no data for a recipe',
      () => ['convert', '--input', float, '--output', join(temporaryFolder(), 'x'), '--recipe', 'accurate'],
      /no calibration data to judge on/,
    ],
    [
      'a module without samples',
      () => {
        const module = join(temporaryFolder(), 'empty.mjs');
        writeFileSync(module, 'export const samples = [];');
        return [
          'convert',
          '--input',
          float,
          '--output',
          join(temporaryFolder(), 'x'),
          '--calibration',
          module,
        ];
      },
      /empty\.mjs has to export a generator of samples: export default async function\*/,
    ],
    [
      'a module with an error',
      () => {
        const module = join(temporaryFolder(), 'broken.mjs');
        writeFileSync(module, 'export default function* () { yield 5; }');
        return [
          'convert',
          '--input',
          float,
          '--output',
          join(temporaryFolder(), 'x'),
          '--calibration',
          module,
        ];
      },
      /broken\.mjs: sample 0 is 5; expected an object with a tensor for every input/,
    ],
    [
      'a record layout without records',
      () => convertArgs(join(temporaryFolder(), 'x'), '--record-layout', 'label=1'),
      /no layout without --records/,
    ],
    [
      'wrong number',
      () => convertArgs(join(temporaryFolder(), 'x'), '--samples', '-3'),
      /Expected a positive integer/,
    ],
    [
      'report of an unknown kind',
      () => convertArgs(join(temporaryFolder(), 'x'), '--report', 'report.pdf'),
      /Expected a file that ends in \.html or \.json/,
    ],
    [
      'empty image folder',
      () => [
        'convert',
        '--input',
        float,
        '--output',
        join(temporaryFolder(), 'x'),
        '--calibration',
        temporaryFolder(),
      ],
      /holds no image/,
    ],
    [
      'already converted',
      () => [
        'convert',
        '--input',
        join(output, 'model.json'),
        '--output',
        join(temporaryFolder(), 'x'),
        '--calibration',
        images,
      ],
      /was converted by tfjs-lowbit already/,
    ],
  ];
  test.each(cases)('%s', (_name, args, message) => {
    cli(...convertArgs(output));
    const { status, stdout, stderr } = cli(...args());
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
  });

  test('a truncated shard', () => {
    const broken = writeTinyModel();
    truncateSync(join(dirname(broken), 'group1-shard1of1.bin'), 100);
    const to = join(temporaryFolder(), 'out');
    const { status, stderr } = cli('convert', '--input', broken, '--output', to, '--calibration', images);
    expect(status).toBe(1);
    expect(stderr).toMatch(/Shard 'group1-shard1of1.bin' is truncated: expected \d+ bytes but found 100/);
    expect(readdirSync(dirname(to))).toEqual([]);
  });

  test('an image that does not decode', () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'broken.png'), 'not a picture');
    const { status, stderr } = cli(
      'convert',
      '--input',
      float,
      '--output',
      join(folder, 'out'),
      '--calibration',
      folder,
    );
    expect(status).toBe(1);
    expect(stderr).toMatch(/Cannot decode the image .*broken\.png/);
  });

  test('an error with --verbose has its stack', () => {
    expect(cli('inspect', '/no/such/model.json', '--verbose').stderr).toMatch(/\n {4}at /);
  });
});

describe('Ctrl-C exits with 130, prints no result and leaves nothing behind', () => {
  const interrupter = resolve(__dirname, '..', 'support', 'interrupt.js');
  const COUNT = 100_000;

  /** Runs a command that would take minutes, and interrupts it when it is at work. */
  function interrupt(...args: string[]) {
    return spawnSync(process.execPath, ['--require', interrupter, MAIN, ...args], {
      encoding: 'utf8',
      timeout: 45_000,
    });
  }

  test('convert', () => {
    const to = join(temporaryFolder(), 'out');
    const samples = join(temporaryFolder(), 'samples.npy');
    writeFileSync(
      samples,
      Buffer.from(dump(new Uint8Array(COUNT * TINY_SIZE ** 2 * 3), [COUNT, TINY_SIZE, TINY_SIZE, 3])),
    );
    const { status, stdout, stderr } = interrupt(
      ...['convert', '--input', float, '--output', to, '--calibration', samples, '--samples', `${COUNT}`],
    );
    expect(stderr).toMatch(/cancelled/i);
    expect([status, stdout]).toEqual([130, '']);
    expect(readdirSync(dirname(to))).toEqual([]);
  });

  test('bench', () => {
    cli(...convertArgs(output));
    const { status, stdout, stderr } = interrupt(
      ...['bench', '--model', join(output, 'model.json'), '--runs', '10000000'],
    );
    expect([status, stdout, stderr]).toEqual([130, '', 'tfjs-lowbit: Cancelled.\n']);
  });
});
