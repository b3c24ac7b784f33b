// @needs engine
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { convert } from '../../src/conversion/convert';
import { convertGraph } from '../../src/conversion/convert-graph';
import type { ConvertOptions, QuantizationOptions } from '../../src/conversion/options/options';
import type { ConvertProgress } from '../../src/conversion/progress';
import { inspect } from '../../src/evaluation/inspect';
import { readModel } from '../../src/graph/read-model';
import { signalToNoise } from '../../src/quantization/metrics';
import { drawFeeds, execute, FloatGraph, windowAttrs } from '../support/float-graph';
import { toSample } from '../support/quantize';
import { randomOf } from '../support/random';
import { temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

const input = writeTinyModel();
let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

function options(more: Partial<ConvertOptions> = {}): ConvertOptions {
  return { input, output: join(folder, 'out'), calibration: () => tinySamples(8), samples: 8, ...more };
}

const files = (path: string) =>
  Object.fromEntries(readdirSync(path).map((f) => [f, readFileSync(join(path, f))]));

/** The tiny model's outputs hardly depend on its input, which is a warning of its own. */
const withoutFidelity = (warnings: readonly string[]) =>
  warnings.filter((warning) => !warning.includes('hides the noise'));

test('converts and tells what it did', async () => {
  const stages: ConvertProgress['stage'][] = [];
  const report = await convert(options({ onProgress: ({ stage }) => stages.push(stage) }));
  expect(report.regions).toBe(1);
  expect(report.quantized.map((n) => n.name)).toEqual([
    'conv',
    'depthwise',
    'mean',
    'logits',
    'probabilities',
  ]);
  expect(report.float).toEqual([]);
  expect(report.changes).toContainEqual(expect.objectContaining({ pass: 'fold-bias', node: 'logits' }));
  expect(report.macs.percent).toBe(100);
  expect(report.macs.total).toBe((await inspect(input)).totals.macs);
  expect(report.calibration).toMatchObject({ method: 'mse', samples: 6 });
  expect(withoutFidelity(report.warnings)).toEqual([]);
  expect([...new Set(stages)]).toEqual([
    'read',
    'optimize',
    'calibrate',
    'refine',
    'quantize',
    'check',
    'write',
  ]);
  const written = Object.values(files(report.output)).reduce((sum, f) => sum + f.length, 0);
  expect(report.bytes.after).toBe(written);
});

test('writes the same bytes for the same input, and where every layer runs', async () => {
  await convert(options());
  await convert(options({ output: join(folder, 'again') }));
  expect(files(join(folder, 'again'))).toEqual(files(join(folder, 'out')));
  const { userDefinedMetadata, signature } = JSON.parse(
    readFileSync(join(folder, 'out', 'model.json'), 'utf8'),
  );
  expect(userDefinedMetadata.lowbit).toMatchObject({
    formatVersion: 1,
    calibration: { samples: 6 },
    layers: [
      { name: 'conv', precision: 'int8', weightSignalToNoise: expect.any(Number) },
      { name: 'depthwise', precision: 'int8' },
      { name: 'mean', precision: 'int8' },
      { name: 'logits', precision: 'int8' },
      { name: 'probabilities', precision: 'int8' },
    ],
  });
  expect(Object.keys(signature.outputs)).toEqual(['probabilities', 'logits']);
});

describe('a configuration', () => {
  const layersOf = (path: string) =>
    JSON.parse(readFileSync(join(path, 'model.json'), 'utf8')).userDefinedMetadata.lowbit.layers;

  test('leaves layers in float by pattern, in the file and as an option', async () => {
    const byConfig = await convert(options({ config: { layers: [{ match: 'depth*', bits: 'float' }] } }));
    expect(byConfig.float[0]).toEqual({
      name: 'depthwise',
      op: 'FusedDepthwiseConv2dNative',
      reason: 'left in float by configuration',
    });
    expect(byConfig.quantized.map(({ name }) => name)).toEqual(['conv', 'mean', 'logits', 'probabilities']);
    const bySkip = await convert(options({ output: join(folder, 'skip'), skip: ['depth*'] }));
    expect(files(bySkip.output)).toEqual(files(byConfig.output));
    const both = await convert(
      options({
        output: join(folder, 'both'),
        skip: ['depthwise'],
        config: { layers: [{ match: 'depthwise', bits: 8 }] },
      }),
    );
    expect(files(both.output)).toEqual(files(byConfig.output));
  });

  test('chooses the method of a tensor, which the artefact tells', async () => {
    const percentile = await convert(options({ output: join(folder, 'percentile') }));
    const report = await convert(options({ config: { layers: [{ match: 'conv', calibration: 'minmax' }] } }));
    expect(percentile.calibration).not.toHaveProperty('methods');
    expect(report.calibration.methods).toEqual({ conv: 'minmax' });
    const settings = { config: { calibration: { method: 'minmax' as const, samples: 4 } } };
    const minmax = await convert(options({ samples: undefined, ...settings }));
    expect(minmax.calibration).toMatchObject({ method: 'minmax', samples: 4 });
    const option = await convert(options({ calibrationMethod: 'mse', samples: 3, ...settings }));
    expect(option.calibration).toMatchObject({ method: 'mse', samples: 3 });
  });

  test('as it is told afterwards gives the same bytes when read back', async () => {
    const asked: Partial<ConvertOptions> = {
      samples: 5,
      skip: ['mean'],
      equalize: true,
      weightRange: 'mse',
      config: {
        biasCorrection: 'sequential',
        calibration: { method: 'entropy' },
        layers: [{ match: '{conv,image}', calibration: 'mse' }],
      },
    };
    const report = await convert(options(asked));
    expect(report.config).toEqual({
      version: 1,
      recipe: 'fast',
      calibration: { method: 'entropy', percentile: 99.99, samples: 5, holdOut: true },
      equalize: true,
      weightRange: 'mse',
      biasCorrection: 'sequential',
      regions: true,
      layers: [
        { match: 'image', calibration: 'mse' },
        { match: 'conv', bits: 8, calibration: 'mse' },
        { match: 'depthwise', bits: 8, calibration: 'entropy' },
        { match: 'logits', bits: 8, calibration: 'entropy' },
        { match: 'probabilities', bits: 8, calibration: 'entropy' },
        { match: 'mean', bits: 'float', calibration: 'entropy' },
      ],
    });
    const again = await convert(
      options({ output: join(folder, 'again'), samples: undefined, config: report.config }),
    );
    expect(files(again.output)).toEqual(files(report.output));
    expect(layersOf(again.output)).toEqual(layersOf(report.output));
  });

  test('warns of patterns that match nothing, and refuses what is wrong', async () => {
    const { warnings } = await convert(options({ skip: ['head/*', 'nope'] }));
    expect(withoutFidelity(warnings)).toEqual([
      expect.stringMatching(/'head\/\*' matches no node .*'head\/\*\*' also matches what lies deeper/),
      expect.stringMatching(/'nope' matches no node of the optimized graph\.$/),
    ]);
    const wrong = { layers: [{ match: 'a', bits: 5 }] } as unknown as ConvertOptions['config'];
    await expect(convert(options({ config: wrong }))).rejects.toThrow(
      /layers\[0\].bits: expected 8, 4, 3, 2 or 'float'/,
    );
  });
});

test('refuses to convert its own output, and to write over its input', async () => {
  await convert(options());
  const again = convert(options({ input: join(folder, 'out', 'model.json'), output: join(folder, 'twice') }));
  await expect(again).rejects.toMatchObject({ code: 'already-converted' });
  await expect(convert(options({ output: dirname(input), overwrite: true }))).rejects.toThrow(
    /folder of the input/,
  );
});

test('warns when there are fewer samples than requested', async () => {
  const report = await convert(options({ samples: 100 }));
  expect(withoutFidelity(report.warnings)).toEqual([
    expect.stringContaining('8 samples, fewer than the 100'),
  ]);
});

test('tells in the artefact what it was calibrated on', async () => {
  const lowbit = async (calibration: ConvertOptions['calibration']) => {
    const { output } = await convert(options({ calibration, samples: 3, output: join(folder, 'told') }));
    return JSON.parse(readFileSync(join(output, 'model.json'), 'utf8')).userDefinedMetadata.lowbit;
  };
  const { calibration, toolVersion } = await lowbit(() => tinySamples(8));
  expect(toolVersion).toMatch(/^\d+\.\d+\.\d+/);
  expect(calibration).toEqual({
    method: expect.any(String),
    samples: 3,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    runtime: expect.stringMatching(/^tfjs \d+\.\d+\.\d+ (wasm|cpu)$/),
  });
  const random = (await lowbit('random')).calibration;
  expect(random).toMatchObject({ random: true, samples: 3 });
  expect(random.sha256).not.toBe(calibration.sha256);
});

test('writes a node for every op with regions: false', async () => {
  await convert(options({ regions: false }));
  const json = JSON.parse(readFileSync(join(folder, 'out', 'model.json'), 'utf8'));
  const ops = json.modelTopology.node
    .map((n: { op: string }) => n.op)
    .filter((op: string) => op.startsWith('Quantized'));
  expect(ops).toEqual([
    'QuantizedConv2D',
    'QuantizedDepthwise',
    'QuantizedAvgPool',
    'QuantizedLinear',
    'QuantizedSoftmax',
  ]);
});

test('leaves nothing behind when aborted during calibration', async () => {
  const controller = new AbortController();
  const aborted = convert(
    options({
      signal: controller.signal,
      onProgress: ({ stage }) => stage === 'calibrate' && controller.abort(),
    }),
  );
  await expect(aborted).rejects.toMatchObject({ code: 'cancelled' });
  expect(readdirSync(folder)).toEqual([]);
});

test('meets a target for signal-to-noise, and has the layers of higher precision in the configuration', async () => {
  const report = await convert(options({ minSignalToNoise: 1, validationSamples: 4 }));
  expect(report.accuracy).toMatchObject({ samples: 4, kept: [], trials: 1 });
  const whole = report.accuracy!.quantized.signalToNoise;
  const refined = await convert(
    options({ output: join(folder, 'refined'), minSignalToNoise: whole + 0.5, validationSamples: 4 }),
  );
  const { kept, converted } = refined.accuracy!;
  expect(kept.length).toBeGreaterThan(0);
  expect(converted.signalToNoise).toBeGreaterThan(whole + 0.5);
  const configured = refined.config.layers!.filter(({ activations }) => activations !== undefined);
  const pairs = (layers: readonly (string | undefined)[][]) => layers.map((layer) => layer.join(' ')).sort();
  expect(pairs(configured.map(({ match, activations }) => [match, activations]))).toEqual(
    pairs(kept.map(({ name, precision }) => [name, precision])),
  );
  expect(refined.quantized.filter(({ activationPrecision }) => activationPrecision)).not.toEqual([]);
  const again = await convert(options({ output: join(folder, 'again'), config: refined.config }));
  expect(again.quantized).toEqual(refined.quantized);
  expect(files(again.output)).toEqual(files(refined.output));
});

describe('dynamic activations', () => {
  const lowbitOf = (path: string) =>
    JSON.parse(readFileSync(join(path, 'model.json'), 'utf8')).userDefinedMetadata.lowbit;

  test('are told node by node, and multiply in INT8', async () => {
    const report = await convert(options({ dynamic: ['**'] }));
    expect(report.float).toEqual([]);
    expect(report.macs).toMatchObject({ percent: 100, int16: 0 });
    expect(report.macs.int8).toBe(report.macs.total);
    expect(report.quantized.map(({ name, activationPrecision }) => [name, activationPrecision])).toEqual([
      ['conv', 'dynamic'],
      ['depthwise', 'dynamic'],
      ['mean', 'dynamic'],
      ['logits', 'dynamic'],
      ['probabilities', undefined],
    ]);
    const layers: { name: string; precision: string }[] = lowbitOf(report.output).layers;
    expect(layers.map(({ name, precision }) => [name, precision])).toEqual([
      ['conv', 'dynamic int8'],
      ['depthwise', 'dynamic int8'],
      ['mean', 'dynamic int8'],
      ['logits', 'dynamic int8'],
      ['probabilities', 'int8'],
    ]);
  });

  test('are converted to the same bytes again, and from the configuration that is told', async () => {
    const asked: Partial<ConvertOptions> = {
      dynamic: ['conv', 'depthwise'],
      int16: ['logits'],
      biasCorrection: 'sequential',
    };
    const report = await convert(options(asked));
    const again = await convert(options({ ...asked, output: join(folder, 'again') }));
    expect(files(again.output)).toEqual(files(report.output));
    const activations = report.config.layers?.map(({ match, activations }) => [match, activations]);
    expect(activations).toEqual(
      expect.arrayContaining([
        ['conv', 'dynamic'],
        ['depthwise', 'dynamic'],
        ['logits', 'int16'],
      ]),
    );
    const configured = await convert(options({ config: report.config, output: join(folder, 'configured') }));
    expect(configured.quantized).toEqual(report.quantized);
    expect(files(configured.output)).toEqual(files(report.output));
  });

  test('read weights that were rounded with error feedback', async () => {
    const codes = async (errorFeedback: boolean) => {
      const output = join(folder, String(errorFeedback));
      const { quantized } = await convert(options({ output, dynamic: ['**'], errorFeedback }));
      return {
        bytes: files(output),
        fidelity: new Map(quantized.map((n) => [n.name, n.weightSignalToNoise])),
      };
    };
    const [plain, fed] = [await codes(false), await codes(true)];
    expect(fed.bytes).not.toEqual(plain.bytes);
    // Not the nearest codes, but those whose errors make up for one another.
    expect(fed.fidelity.get('conv')).toBeLessThan(plain.fidelity.get('conv')!);
    expect(fed.fidelity.get('depthwise')).toBe(plain.fidelity.get('depthwise'));
  });

  test('keep the signal of what is much larger or smaller than the calibration data', async () => {
    const random = randomOf('larger than calibrated', 0);
    const graph = new FloatGraph(random)
      .input('image', [-1, 8, 8, 4])
      .weights('wa', [3, 3, 4, 8], -0.4, 0.4)
      .weights('wd', [3, 3, 8, 1], -0.4, 0.4)
      .weights('wb', [1, 1, 8, 4], -0.6, 0.6)
      .node('a', 'Conv2D', ['image', 'wa'], windowAttrs())
      .node('d', 'DepthwiseConv2dNative', ['a', 'wd'], windowAttrs())
      .node('b', 'Conv2D', ['d', 'wb'], windowAttrs())
      .build('b');
    const feeds = Array.from({ length: 4 }, () => drawFeeds(graph, random));
    const data = async function* () {
      for (const feed of feeds) yield toSample(feed);
    };
    const { image } = drawFeeds(graph, random);
    const decibels = async (dynamic: string[], factor: number, more: QuantizationOptions = {}) => {
      const { graph: converted } = await convertGraph(graph, data, { dynamic, ...more });
      const larger = { image: { ...image, values: image.values.map((x) => factor * x) } };
      const [[expected], [received]] = [await execute(graph, larger), await execute(converted, larger)];
      return signalToNoise(expected.values, received.values);
    };
    expect(await decibels([], 1)).toBeGreaterThan(30);
    expect(await decibels([], 20)).toBeLessThan(5);
    const usual = await decibels(['**'], 1);
    expect(usual).toBeGreaterThan(35);
    expect(await decibels(['**'], 20)).toBeCloseTo(usual, 0);
    // A bias that makes up for the rounding of weights does so for values as large as those of the calibration.
    const biasCorrection = 'none';
    expect(await decibels(['**'], 1e-4, { biasCorrection })).toBeGreaterThan(35);
    expect(await decibels([], 1e-4, { biasCorrection })).toBeLessThan(5);
  });
});

test.each<[string, Partial<ConvertOptions>]>([
  ['maxDrop', { maxDrop: Number.NaN }],
  ['int16', { int16: 1.5 }],
  ['validationSamples', { validationSamples: 0.5 }],
  ['weightRange', { weightRange: 'min' as 'max' }],
  ['biasCorrection', { biasCorrection: 'slow' as 'fast' }],
  ['input', { input: '' }],
  ['samples', { samples: 0 }],
  ['percentile', { percentile: 30 }],
  ['calibrationMethod', { calibrationMethod: 'guess' as 'minmax' }],
  ['calibration', { calibration: 'photos' as unknown as ConvertOptions['calibration'] }],
])('refuses a wrong %s', async (name, wrong) => {
  await expect(convert(options(wrong))).rejects.toThrow(new RegExp(`Expected .* for ${name} but received`));
});

test('the source model is untouched and still reads', async () => {
  const before = files(dirname(input));
  await convert(options());
  expect(files(dirname(input))).toEqual(before);
  expect((await readModel(input)).nodes.size).toBeGreaterThan(0);
});

describe('errors', () => {
  const cause = new TypeError("Cannot read properties of undefined (reading 'length')");
  const fail = () => {
    throw cause;
  };

  test('of ours that nobody foresaw have the code internal and their cause', async () => {
    await expect(convert(options({ onProgress: fail }))).rejects.toMatchObject({
      name: 'LowbitError',
      code: 'internal',
      cause,
    });
  });

  test('of the user’s data are told apart from ours', async () => {
    await expect(convert(options({ calibration: fail }))).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(/^The calibration data failed to give a sample: TypeError/),
      cause,
    });
  });
});

test('options for experts of a model without any give a warning', async () => {
  const { warnings } = await convert(options({ experts: { budget: '25%' } }));
  expect(withoutFidelity(warnings)).toEqual([expect.stringMatching(/^The options for experts do nothing/)]);
});

test('weights of layers with dynamic or int16 activations count in the bits of a weight', async () => {
  const bitsOf = async (more: Partial<ConvertOptions>) =>
    (await convert(options({ overwrite: true, ...more }))).bitsPerWeight;
  const int8 = await bitsOf({});
  // 8 bits, and bias and multiplier of each of the 6 + 6 + 4 channels, over 162 + 54 + 24 weights.
  expect(int8).toBeCloseTo(8 + (32 * 16) / 240, 6);
  expect(await bitsOf({ dynamic: ['**'] })).toBeCloseTo(int8, 6);
  expect(await bitsOf({ int16: ['**'] })).toBeCloseTo(int8 + 8, 6);
});

test('a model that grows gives a warning with what takes the room', async () => {
  const { bytes, warnings } = await convert(options({ skip: ['conv', 'depthwise'] }));
  const grown = warnings.filter((warning) => warning.includes('the graph and its metadata'));
  expect(grown).toHaveLength(bytes.after > bytes.before ? 1 : 0);
  expect(bytes.after).toBeGreaterThan(bytes.before);
});
