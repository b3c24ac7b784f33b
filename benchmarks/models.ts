/**
 * Whole models: tfjs-lowbit INT8 against onnxruntime-node (INT8 and float32) and TF.js float.
 *
 *   npm run bench:models
 *   npm run bench:models -- --models mobilenet_v2,resnet50 --threads 1 --batch 1 --runs 50
 *   LOWBIT_ISA=avx2 npm run bench:models -- --models mobilenet_v2 --threads 1 --batch 1
 *
 * `HOW` below says how it is made fair.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { Command } from 'commander';
import { env } from 'onnxruntime-node';
import '../src/index.node';
import { median } from '../src/base/median';
import { positiveInteger, positiveIntegers } from '../src/cli/command';
import { cosineSimilarity } from '../src/quantization/metrics';
import { engineInfo } from '../src/runtime/current-engine';
import { timeAlternately } from './alternate';
import { headerLines, type Machine, machine } from './machine';
import { type Prepared, prepare } from './prepare';
import { runCommand } from './run-command';
import type { MemoryUse } from './runtimes/process';
import { type Output, RUNTIMES, type RuntimeName } from './runtimes/runtime';
import { RuntimeProcess } from './runtimes/runtime-process';
import { batchOf, findSubjects, type Subject } from './subjects';

const HOW = [
  'The same weights for all: our converter makes our model; the folded float graph, exported to ONNX, makes both models of',
  'onnxruntime (INT8: QDQ, int8 weights per channel, uint8 activations, the same calibrated scales). Each runtime has its',
  'own process. They are timed in 10 alternating rounds, one at a time, with a pause in between, so that spinning threads',
  "do not disturb the next. onnxruntime: all graph optimizations, fixed batch, channels first (the input's transposition is",
  'not timed), the same intra-op threads as ours, inter-op 1, sequential, otherwise its defaults. TF.js and ours:',
  'loadGraphModel, predict, outputs read back; the WebAssembly backend has one thread in Node.js. Before timing, every',
  'output must agree with float TF.js: cosine above 0.99.',
];

const MIN_COSINE = 0.99;

/** Plain JavaScript takes seconds for more multiply-accumulates. */
const CPU_BACKEND_MACS = 60e6;

function hasVnni(): boolean {
  return engineInfo().supportedIsas.includes('avx512vnni');
}

interface Options {
  models?: string[];
  threads: number[];
  batch: number[];
  runs: number;
  seconds: number;
  calibration: number;
  quick?: boolean;
  json?: boolean;
}

interface Timing {
  readonly median: number;
  readonly min: number;
  readonly runs: number;
}

interface Result {
  readonly batch: number;
  readonly threads: number;
  /** Milliseconds of a prediction of the whole batch. */
  readonly times: Partial<Record<RuntimeName, Timing>>;
  /** Against float TF.js: the lowest of all outputs. */
  readonly cosine: Partial<Record<RuntimeName, number>>;
  /** Medians: ours over onnxruntime's INT8 (below 1: we are faster). */
  readonly oursOverOrtInt8: number;
  /** Medians: float TF.js on its WebAssembly backend over ours. */
  readonly wasmOverOurs: number;
}

interface ModelReport {
  readonly model: string;
  readonly macs: number;
  readonly results: Result[];
  /** Batch 1, one thread, each in a process of its own. */
  readonly memory: Partial<Record<RuntimeName, MemoryUse>>;
}

interface Report {
  readonly machine: Machine;
  readonly models: ModelReport[];
  /** What was not measured, and why. */
  readonly left: { model: string; reason: string }[];
}

const progress = (line: string) => process.stderr.write(`${line}\n`);

function modelFiles(prepared: Prepared): [RuntimeName, string][] {
  const files: [RuntimeName, string][] = [
    ['wasm', prepared.float],
    ['ours', prepared.int8],
    ['ortInt8', prepared.onnxInt8],
    ['ortFloat', prepared.onnxFloat],
  ];
  return prepared.macs < CPU_BACKEND_MACS ? [...files, ['cpu', prepared.float]] : files;
}

function lowestCosine(reference: readonly Output[], outputs: readonly Output[]): number {
  const cosines = reference.map(({ name, values }) => {
    const found = outputs.find((output) => output.name === name);
    if (found?.values.length !== values.length)
      throw new Error(`Output '${name}' is missing, or has another size.`);
    return cosineSimilarity(values, found.values);
  });
  return Math.min(...cosines);
}

function timing(times: readonly number[]): Timing {
  return { median: median(times), min: Math.min(...times), runs: times.length };
}

/** @throws Error where a runtime computes something else */
async function measure(
  subject: Subject,
  prepared: Prepared,
  { batch, threads }: { batch: number; threads: number },
  { runs, seconds }: Options,
): Promise<Result> {
  const sample = await batchOf(subject.test, prepared.inputs, batch);
  const files = modelFiles(prepared).filter(([runtime]) => runtime !== 'cpu' || batch === 1);
  const names = files.map(([runtime]) => runtime);
  const processes = files.map(() => new RuntimeProcess());
  try {
    const outputs: Output[][] = [];
    for (const [i, [runtime, model]] of files.entries()) {
      outputs.push((await processes[i].load({ runtime, model, sample, threads })).outputs);
    }
    const cosines = outputs.map((found) => lowestCosine(outputs[0], found));
    const wrong = cosines.findIndex((cosine) => !(cosine > MIN_COSINE));
    if (wrong >= 0) {
      throw new Error(
        `${RUNTIMES[names[wrong]]} computes something else: cosine ${cosines[wrong].toFixed(4)}`,
      );
    }
    const times = await timeAlternately(processes, { runs, milliseconds: seconds * 1000 });
    const byName = <T>(values: readonly T[]) =>
      Object.fromEntries(names.map((name, i) => [name, values[i]])) as Record<RuntimeName, T>;
    const timings = byName(times.map(timing));
    return {
      batch,
      threads,
      times: timings,
      cosine: byName(cosines),
      oursOverOrtInt8: timings.ours.median / timings.ortInt8.median,
      wasmOverOurs: timings.wasm.median / timings.ours.median,
    };
  } finally {
    await Promise.all(processes.map((each) => each.end()));
  }
}

async function measureMemory(subject: Subject, prepared: Prepared): Promise<ModelReport['memory']> {
  const sample = await batchOf(subject.test, prepared.inputs, 1);
  const memory: ModelReport['memory'] = {};
  for (const [runtime, model] of modelFiles(prepared)) {
    const child = new RuntimeProcess();
    try {
      memory[runtime] = await child.memory({ runtime, model, sample, threads: 1 });
    } finally {
      await child.end();
    }
  }
  return memory;
}

async function measureModel(subject: Subject, folder: string, options: Options): Promise<ModelReport> {
  progress(`${subject.name}: converting`);
  const prepared = await prepare(subject, join(folder, subject.name), options.calibration, !hasVnni());
  // A model with a batch of its own has no other.
  const fixed = prepared.inputs.find(({ shape }) => shape?.[0] !== -1)?.shape?.[0];
  const batches = fixed === undefined ? options.batch : [fixed];
  const results: Result[] = [];
  for (const batch of batches) {
    for (const threads of options.threads) {
      progress(`${subject.name}: batch ${batch}, threads ${threads}`);
      results.push(await measure(subject, prepared, { batch, threads }, options));
    }
  }
  const memory = await measureMemory(subject, prepared);
  return { model: subject.name, macs: prepared.macs, results, memory };
}

function milliseconds(timing: Timing | undefined): string {
  return timing ? `${timing.median.toFixed(2)} (${timing.min.toFixed(2)})` : '-';
}

function newTable(head: string[]): Table.Table {
  return new Table({ head, style: { head: [], border: [] } });
}

function printTimes(models: readonly ModelReport[]): string {
  const head = ['model', 'batch', 'threads', 'ours', 'ORT INT8', 'ORT float', 'wasm float', 'cpu float'];
  const table = newTable([...head, 'ours / ORT INT8', 'wasm / ours']);
  for (const { model, results } of models) {
    for (const { batch, threads, times, oursOverOrtInt8, wasmOverOurs } of results) {
      const cells = (['ours', 'ortInt8', 'ortFloat', 'wasm', 'cpu'] as const).map((name) =>
        milliseconds(times[name]),
      );
      table.push([
        model,
        batch,
        threads,
        ...cells,
        oursOverOrtInt8.toFixed(2),
        `${wasmOverOurs.toFixed(1)}x`,
      ]);
    }
  }
  return table.toString();
}

function printMemory(models: readonly ModelReport[]): string {
  const names = ['ours', 'ortInt8', 'ortFloat', 'wasm'] as const;
  const table = newTable(['model', ...names.map((name) => RUNTIMES[name])]);
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  for (const { model, memory } of models) {
    const cells = names.map((name) => {
      const use = memory[name];
      return use ? `${megabytes(use.growth)} (${megabytes(use.peak)})` : '-';
    });
    table.push([model, ...cells]);
  }
  return table.toString();
}

function print({ machine, models, left }: Report): string {
  const quantized = hasVnni()
    ? []
    : ['No VNNI here: 7-bit weights for onnxruntime, whose sums saturate otherwise.'];
  return [
    ...headerLines('npm run bench:models', machine),
    ...HOW,
    ...quantized,
    'Milliseconds a prediction of the batch, median (minimum):',
    printTimes(models),
    'Memory in MB, batch 1, one thread: resident growth, load and run (peak resident of the whole process):',
    printMemory(models),
    ...left.map(({ model, reason }) => `not measured: ${model}: ${reason}`),
  ].join('\n');
}

async function main(options: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-lowbit-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const report: Report = {
    machine: machine({ 'onnxruntime-node': env.versions.node! }),
    models: [],
    left: [],
  };
  for (const subject of findSubjects(options.models)) {
    try {
      report.models.push(await measureModel(subject, folder, options));
    } catch (error) {
      report.left.push({ model: subject.name, reason: (error as Error).message });
      progress(`${subject.name}: ${(error as Error).message}`);
    }
  }
  console.log(options.json ? JSON.stringify(report, null, 2) : print(report));
  // Requested by name, or generated here: it must work.
  if (options.models && report.left.length > 0) process.exitCode = 1;
}

const QUICK = { models: ['mobilenet_v2'], threads: [1], batch: [1], runs: 20, seconds: 0.5, calibration: 4 };

runCommand(
  new Command('bench:models')
    .option('--models <names>', 'separated by commas; default: all there are', (text) => text.split(','))
    .option('--threads <numbers>', 'separated by commas', positiveIntegers, [1, 2])
    .option('--batch <numbers>', 'separated by commas', positiveIntegers, [1, 8])
    .option('--runs <number>', 'timed predictions of each runtime, at most', positiveInteger, 100)
    .option('--seconds <number>', 'time for each runtime in a row of the table, at most', Number, 1)
    .option('--calibration <number>', 'samples to calibrate on', positiveInteger, 16)
    .option('--quick', 'one model, one thread, batch 1, few runs: whether it works')
    .option('--json', 'print the result as JSON')
    .action((options: Options) => main(options.quick ? { ...options, ...QUICK } : options)),
);
