/**
 * Predictions in Chromium: ours on the WebAssembly modules with vectors against TF.js's float model on its wasm backend,
 * onnxruntime-web and, with `--tflite`, LiteRT.js. Then the cold start of ours and of TF.js, and their memory.
 *
 *   npm run bench:web
 *   npm run bench:web -- --models mobilenet_v2 --threads 1 --runs 100
 *   npm run bench:web -- --models mobilenet_v2 --tflite build/mobilenet_v2.tflite
 *
 * `HOW` below says how it is made fair. onnxruntime-web and LiteRT.js are fetched from npm once. What makes a .tflite:
 * `benchmarks/web/to-tflite.py`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Command } from 'commander';
import { build } from 'esbuild';
import { median } from '../src/base/median';
import { positiveInteger, positiveIntegers, table } from '../src/cli/command';
import '../src/index.node';
import { cosineSimilarity } from '../src/quantization/metrics';
import { headerLines, machine } from './machine';
import { unpackedPackage } from './npm-package';
import { type Prepared, prepare } from './prepare';
import { runCommand } from './run-command';
import { batchOf, findSubjects, type Subject } from './subjects';
import { openBrowser, openPage } from './web/chromium';
import { type ColdStart, measureColdStarts } from './web/cold-start';
import { Arena, CONTESTANTS, type Contestant } from './web/contestants';
import { serveApp } from './web/page';

const ONNXRUNTIME = 'onnxruntime-web@1.30.0';
const LITERT = '@litertjs/core@2.5.3';
const LITERT_UTILS = '@litertjs/wasm-utils@2.5.3';

const HOW = [
  'The same weights for all: our converter makes our model; the folded float graph, exported to ONNX, makes the INT8 model of',
  'onnxruntime-web (QDQ, int8 weights per channel, uint8 activations, the same calibrated scales). Each number of threads',
  'has an isolated page of its own; there all are timed in 10 alternating rounds, one at a time, after a rest, the first',
  'prediction of a round untimed. A prediction begins with the values of a sample that calibration did not see and ends with',
  "those of the output; the input of onnxruntime-web has channels first. onnxruntime-web: backend 'wasm', all graph",
  'optimizations, fixed batch. Before timing, every output must agree with float TF.js, cosine above 0.99, and ours must be',
  'the same to the bit.',
];

const MIN_COSINE = 0.99;
const ROUNDS = 10;
const WARM_UP = 10;
/** Threads that wait for work by spinning have gone to sleep by then. */
const REST_MILLISECONDS = 50;
const CALIBRATION_SAMPLES = 16;

interface Options {
  models: string[];
  runs: number;
  threads: number[];
  tflite?: string;
  folder?: string;
  json?: boolean;
}

interface Times {
  readonly median: number;
  readonly min: number;
}

interface Report {
  readonly model: string;
  /** By number of threads. */
  readonly times: Readonly<Record<number, Partial<Record<Contestant, Times>>>>;
  /** Of each output with that of float TF.js. */
  readonly cosines: Partial<Record<Contestant, number>>;
  readonly starts: readonly ColdStart[];
}

interface Peers {
  /** Folders to serve. */
  readonly folders: Readonly<Record<string, string>>;
  readonly contestants: readonly Contestant[];
  readonly versions: Readonly<Record<string, string>>;
}

const versionOf = (name: string) => name.slice(name.lastIndexOf('@') + 1);

async function fetchPeers(folder: string, tflite: string | undefined): Promise<Peers> {
  const onnxruntime = join(await unpackedPackage(ONNXRUNTIME), 'dist');
  const peers: Peers = {
    folders: { '/onnxruntime/': onnxruntime },
    contestants: ['float', 'onnxruntime', 'wasmsimd', 'wasmrelaxed'],
    versions: { 'onnxruntime-web': versionOf(ONNXRUNTIME) },
  };
  if (tflite === undefined) return peers;
  const litert = await unpackedPackage(LITERT);
  await build({
    entryPoints: [join(litert, 'dist', 'index.js')],
    alias: { '@litertjs/wasm-utils': await unpackedPackage(LITERT_UTILS) },
    bundle: true,
    format: 'esm',
    outfile: join(folder, 'litert', 'index.mjs'),
    logLevel: 'error',
  });
  await mkdir(join(folder, 'tflite'));
  await copyFile(tflite, join(folder, 'tflite', 'model.tflite'));
  return {
    folders: {
      ...peers.folders,
      '/litert/wasm/': join(litert, 'wasm'),
      '/litert/': join(folder, 'litert'),
      '/tflite/': join(folder, 'tflite'),
    },
    contestants: [...peers.contestants, 'litert'],
    versions: { ...peers.versions, 'LiteRT.js': versionOf(LITERT) },
  };
}

/** @throws Error where a contestant computes something else */
async function agreements(arena: Arena): Promise<Report['cosines']> {
  const expected = await arena.predict('float');
  const cosines: Partial<Record<Contestant, number>> = {};
  let bits: string | undefined;
  for (const contestant of arena.contestants) {
    const values = await arena.predict(contestant);
    const cosine = values.length === expected.length ? cosineSimilarity(expected, values) : 0;
    cosines[contestant] = cosine;
    if (!(cosine > MIN_COSINE)) {
      throw new Error(`${CONTESTANTS[contestant]} computes something else: cosine ${cosine.toFixed(4)}`);
    }
    if (!contestant.startsWith('wasm')) continue;
    bits ??= values.join();
    if (bits !== values.join()) throw new Error('The modules do not agree.');
  }
  return cosines;
}

/** @returns times of each contestant, by arena */
async function timeAlternately(arenas: readonly Arena[], runs: number): Promise<Report['times'][number][]> {
  const lanes = arenas.flatMap((arena) =>
    arena.contestants.map((contestant) => ({ arena, contestant, times: [] as number[] })),
  );
  for (const { arena, contestant } of lanes) await arena.time(contestant, WARM_UP);
  for (let round = 0; round < ROUNDS; round++) {
    for (const { arena, contestant, times } of round % 2 === 0 ? lanes : lanes.toReversed()) {
      await setTimeout(REST_MILLISECONDS);
      times.push(...(await arena.time(contestant, Math.ceil(runs / ROUNDS))));
    }
  }
  return arenas.map((arena) =>
    Object.fromEntries(
      lanes
        .filter((lane) => lane.arena === arena)
        .map(({ contestant, times }) => [contestant, { median: median(times), min: Math.min(...times) }]),
    ),
  );
}

async function measureModel(
  subject: Subject,
  prepared: Prepared,
  peers: Peers,
  { threads, runs }: Options,
): Promise<Report & { version: string; dotForm: string | undefined }> {
  const server = await serveApp({
    ...peers.folders,
    '/float/': dirname(prepared.float),
    '/int8/': dirname(prepared.int8),
    '/onnx/': dirname(prepared.onnxInt8),
  });
  const { browser, close } = await openBrowser();
  try {
    const { shape, values } = Object.values(await batchOf(subject.test, prepared.inputs, 1))[0];
    const input = { shape, values: [...(values as Float32Array)] };
    const arenas: Arena[] = [];
    for (const count of threads) {
      const page = await openPage(browser, server.url);
      arenas.push(await Arena.open(page, peers.contestants, { ...input, threads: count }));
    }
    const cosines = await agreements(arenas[0]);
    for (const arena of arenas.slice(1)) await agreements(arena);
    const times = await timeAlternately(arenas, runs);
    return {
      model: subject.name,
      cosines,
      times: Object.fromEntries(times.map((of, i) => [threads[i], of])),
      starts: await measureColdStarts(server.url),
      version: await browser.version(),
      dotForm: await arenas[0].dotForm(),
    };
  } finally {
    await close();
    server.close();
  }
}

async function keepSamples({ calibration }: Subject, { inputs }: Prepared, file: string): Promise<void> {
  const [{ values }] = Object.values(await batchOf(calibration, inputs, CALIBRATION_SAMPLES));
  await writeFile(file, values);
}

const milliseconds = ({ median, min }: Times) => `${median.toFixed(2)} (${min.toFixed(2)})`;

function printTimes(reports: readonly Report[], contestants: readonly Contestant[]): string {
  const ratios: [string, Contestant, Contestant][] = [
    ['TF.js / wasmsimd', 'float', 'wasmsimd'],
    ['TF.js / wasmrelaxed', 'float', 'wasmrelaxed'],
    ['wasmsimd / onnxruntime', 'wasmsimd', 'onnxruntime'],
    ['wasmrelaxed / onnxruntime', 'wasmrelaxed', 'onnxruntime'],
  ];
  const head = ['model', 'threads', ...contestants.map((name) => CONTESTANTS[name])];
  const rows = reports.flatMap(({ model, times }) =>
    Object.entries(times).map(([threads, of]) => [
      model,
      threads,
      ...contestants.map((name) => milliseconds(of[name]!)),
      ...ratios.map(([, over, under]) => (of[over]!.median / of[under]!.median).toFixed(2)),
    ]),
  );
  return table([...head, ...ratios.map(([name]) => name)], rows);
}

/** How much faster each is in more threads than in the fewest. */
function printThreads(reports: readonly Report[], contestants: readonly Contestant[]): string {
  const rows = reports.flatMap(({ model, times }) => {
    const [[, first], ...rest] = Object.entries(times);
    return rest.map(([threads, of]) => [
      model,
      threads,
      ...contestants.map((name) => `${(first[name]!.median / of[name]!.median).toFixed(2)}x`),
    ]);
  });
  return table(['model', 'threads', ...contestants.map((name) => CONTESTANTS[name])], rows);
}

function printStarts(reports: readonly Report[]): string {
  const rows = reports.flatMap(({ model, starts }) =>
    starts.map(({ what, milliseconds, grownBytes }) => [
      model,
      what,
      milliseconds.toFixed(0),
      `${(grownBytes / 2 ** 20).toFixed(1)} MiB, ${((100 * grownBytes) / starts[0].grownBytes).toFixed(0)} %`,
    ]),
  );
  return table(['model', '', 'cold start, ms', 'memory'], rows);
}

async function main(options: Options): Promise<void> {
  const { models, threads, runs, tflite, folder: kept, json } = options;
  if (tflite !== undefined && models.length !== 1) throw new Error('--tflite needs --models with one name.');
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-lowbit-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const peers = await fetchPeers(folder, tflite);
  const reports: Awaited<ReturnType<typeof measureModel>>[] = [];
  for (const subject of findSubjects(models)) {
    const own = join(kept ?? folder, subject.name);
    const prepared = await prepare(subject, own, CALIBRATION_SAMPLES, false);
    if (kept !== undefined) await keepSamples(subject, prepared, join(own, 'samples.bin'));
    reports.push(await measureModel(subject, prepared, peers, options));
  }
  const [{ version, dotForm }] = reports;
  const on = machine({ Chromium: version, ...peers.versions });
  if (json) {
    console.log(JSON.stringify({ machine: on, dotForm, runs, reports }, null, 2));
    return;
  }
  const lines = [
    ...headerLines('npm run bench:web', on),
    ...HOW,
    `Relaxed dot product of this machine in Chromium: ${dotForm}.`,
    'Milliseconds a prediction, median (minimum), and ratios of medians:',
    printTimes(reports, peers.contestants),
  ];
  if (threads.length > 1) {
    lines.push(
      `How many times as fast as with threads: ${threads[0]}:`,
      printThreads(reports, peers.contestants),
    );
  }
  lines.push(
    'Milliseconds from a page that has TF.js to the first answer, one thread, and what its resident memory grows by over the',
    'same page without a model, after 100 predictions:',
    printStarts(reports),
  );
  console.log(lines.join('\n'));
}

runCommand(
  new Command('bench:web')
    .option('--models <names>', 'separated by commas', (text) => text.split(','), [
      'mobilenet_v2',
      'resnet50',
    ])
    .option('--runs <number>', 'timed predictions of each', positiveInteger, 50)
    .option('--threads <numbers>', 'separated by commas', positiveIntegers, [1, 2])
    .option('--tflite <file>', 'the model, one, for LiteRT.js: INT8 with float32 input and output')
    .option('--folder <path>', 'to keep the models in, and the samples of the calibration')
    .option('--json', 'print the result as JSON')
    .action(main),
);
