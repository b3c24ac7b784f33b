/**
 * A dense autoencoder in every weight format: signal-to-noise of its output, and memory of a large one.
 *
 *   npm run bench:dense
 *   npm run bench:dense -- --sizes 2048,4096,1024,4096,2048 --formats int8,uniform3,trellis2
 *   npm run bench:dense -- --memory --sizes 4096,4096,4096,4096,4096 --formats trellis2
 *
 * Every layer has the format, the first and the last one too. Memory is the growth of the resident set of a process that
 * loads the model with plain tf.loadGraphModel and runs it, against the bytes of its weight files.
 */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import '@tensorflow/tfjs-backend-wasm';
import { Command } from 'commander';
import { install } from '../kernels/register';
import { positiveIntegers, table } from '../src/cli/command';
import { convertGraph } from '../src/conversion/convert-graph';
import type { QuantizationOptions } from '../src/conversion/options/options';
import { measureMemory } from '../src/evaluation/memory';
import type { Graph, Sample } from '../src/graph/ir';
import { writeGraphModel } from '../src/graph/write-graph-model';
import { WEIGHT_FORMATS, type WeightsName } from '../src/quantization/layer-weights';
import { SignalToNoise } from '../src/quantization/metrics';
import { importBackend, withBackend } from '../src/tfjs/backends';
import { LoadedGraph } from '../src/tfjs/loaded-graph';
import '../src/index.node';
import { headerLines, machine } from './machine';
import { autoencoder, autoencoderData } from './networks/autoencoder';
import { Random } from './networks/random';
import { runCommand } from './run-command';

interface Options {
  sizes: number[];
  formats: string[];
  memory?: boolean;
  feedback?: boolean;
}

const SEED = 5;
const CALIBRATION = { batches: 4, rows: 64 };
const EVALUATION = { batches: 2, rows: 32 };

/** All data comes of the same causes; what was calibrated on is not evaluated on. */
function dataOf(sizes: readonly number[]): { calibration: Sample[]; evaluation: Sample[] } {
  const batches = CALIBRATION.batches + EVALUATION.batches;
  const all = [...autoencoderData(new Random(SEED + 1), sizes[0], batches, CALIBRATION.rows)];
  return { calibration: all.slice(0, CALIBRATION.batches), evaluation: all.slice(CALIBRATION.batches) };
}

function variants({ formats, feedback }: Options): QuantizationOptions[] {
  return formats.flatMap((format) => {
    const config = { layers: [{ match: '**', weights: format as WeightsName }] };
    const plain: QuantizationOptions[] = (['float32', 'int8'] as const).map((activations) => ({
      activations,
      config,
    }));
    if (format === 'int8') return plain;
    const rotated = plain.map((options) => ({ ...options, rotate: true }));
    const fedBack = rotated.map((options) => ({ ...options, errorFeedback: true }));
    return [...plain, ...rotated, ...(feedback ? fedBack : [])];
  });
}

async function outputs(graph: Graph, samples: readonly Sample[]): Promise<Float32Array[]> {
  const model = await LoadedGraph.load(graph);
  try {
    const all: Float32Array[] = [];
    for (const sample of samples) all.push((await model.predict(sample))[0].values);
    return all;
  } finally {
    model.dispose();
  }
}

async function accuracy(graph: Graph, options: Options): Promise<string> {
  const { calibration, evaluation } = dataOf(options.sizes);
  const expected = await outputs(graph, evaluation);
  const rows: string[][] = [];
  for (const variant of variants(options)) {
    const [{ weights }] = variant.config!.layers!;
    console.error(`${weights}, ${variant.activations} activations...`);
    const converted = await convertGraph(
      graph,
      async function* () {
        yield* calibration;
      },
      variant,
    );
    const noise = new SignalToNoise();
    (await outputs(converted.graph, evaluation)).forEach((values, i) => {
      noise.add(expected[i], values);
    });
    rows.push([
      String(weights),
      variant.activations!,
      variant.rotate ? 'yes' : '',
      variant.errorFeedback ? 'yes' : '',
      converted.bitsPerWeight.toFixed(2),
      `${noise.decibels.toFixed(1)} dB`,
    ]);
  }
  return table(['weights', 'activations', 'rotated', 'fed back', 'bits a weight', 'output'], rows);
}

async function shardBytes(folder: string): Promise<number> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.bin'));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function memory(graph: Graph, { formats }: Options, folder: string): Promise<string> {
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  const rows: string[][] = [];
  for (const format of formats) {
    const config = { layers: [{ match: '**', weights: format as WeightsName }] };
    console.error(`${format}...`);
    const converted = await convertGraph(graph, undefined, { activations: 'float32', config });
    const output = join(folder, format);
    await writeGraphModel(converted.graph, output);
    const packed = await shardBytes(output);
    const { resident, peak } = await measureMemory(join(output, 'model.json'), await importBackend());
    rows.push([
      format,
      megabytes(packed),
      megabytes(resident),
      `${(resident / packed).toFixed(2)}x`,
      megabytes(peak),
    ]);
  }
  return table(['weights', 'weight files', 'resident', 'of the files', 'peak'], rows);
}

async function main(options: Options): Promise<void> {
  install();
  const folder = await mkdtemp(join(tmpdir(), 'tfjs-lowbit-dense-'));
  try {
    await withBackend(await importBackend(), async () => {
      const graph = autoencoder(new Random(SEED), options.sizes);
      const count = [...graph.constants.values()].reduce((sum, { values }) => sum + values.length, 0);
      console.log(headerLines('dense.js', machine()).join('\n'));
      console.log(`${(count / 1e6).toFixed(1)} million weights: ${options.sizes.join(' -> ')}`);
      console.log(await (options.memory ? memory(graph, options, folder) : accuracy(graph, options)));
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

runCommand(
  new Command()
    .option(
      '--sizes <features>',
      'of the input and of each layer',
      positiveIntegers,
      [2048, 4096, 1024, 4096, 2048],
    )
    .option('--formats <names>', `of ${WEIGHT_FORMATS.join(', ')}`, (text) => text.split(','), [
      ...WEIGHT_FORMATS,
    ])
    .option('--memory', 'the memory of the model instead of its accuracy')
    .option('--feedback', 'with error feedback as well')
    .action(main),
);
