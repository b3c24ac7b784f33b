/**
 * Linear layers on weights of 2, 3, 4 and 8 bits and float32, interleaved: time, bytes of weights and products a second,
 * and the memory that a large model of each takes.
 *
 *   npm run bench:lowbit
 *   npm run bench:lowbit -- --batches 1 --threads 1 --features 2048 --rounds 30
 *
 * Every run of a layer takes the next of so many matrices that none is in a cache when its turn comes again. Float32 is
 * what the memory gives (the least time in which its weights can be read), and onnxruntime's MatMul.
 */
import { execFileSync } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { median } from '../src/base/median';
import { positiveInteger, positiveIntegers, table } from '../src/cli/command';
import { appendLowBitFilter } from '../src/passes/quantize/lower/filters';
import {
  encodeProgram,
  type FilterRef,
  filterRowBytes,
  type Op,
  OpKind,
  type Program,
  TensorType,
  WeightFormat,
  WeightsBuilder,
} from '../src/program/program';
import { decodeMatrix } from '../src/quantization/formats/decode';
import { type FormatName, groupsOf, type LowBitMatrix } from '../src/quantization/formats/format';
import { formatNamed } from '../src/quantization/formats/registry';
import { currentEngine } from '../src/runtime/current-engine';
import type { CompiledProgram } from '../src/runtime/engine';
import '../src/index.node';
import { headerLines, machine } from './machine';
import { encodeModel } from './onnx/model';
import { runCommand } from './run-command';

const FORMATS: readonly FormatName[] = ['int4', 'uniform3', 'uniform2', 'lloyd2', 'trellis2'];
type SubjectName = FormatName | 'int8' | 'onnxruntime';

const X_SCALE = 0.02;
/** Of a sum of float32 products in another order, against the largest output. */
const TOLERANCE = 1e-4;
/** Layers of the model whose memory is measured, 4096 x 4096 each: 64 M weights. */
const MEMORY_LAYERS = 4;
const MEMORY_FEATURES = 4096;
const SMALL_FEATURES = 64;

interface Options {
  features: number;
  group: number;
  megabytes: number;
  batches: number[];
  threads: number[];
  rounds: number;
  json?: boolean;
  memoryOf?: FormatName | 'int8';
}

interface Result {
  subject: SubjectName;
  /** A layer. */
  microseconds: number;
  weightBytes: number;
  bytesPerSecond: number;
  macsPerSecond: number;
  /** Of the bandwidth measured in the same rounds. */
  percentOfDram: number;
  /** The time in which float32 weights can be read, and that of our int8, against this one. */
  timesFloat32Bound: number;
  timesInt8: number;
}

interface Measurement {
  threads: number;
  batch: number;
  dramBytesPerSecond: number;
  float32BoundMicroseconds: number;
  results: Result[];
}

interface MemoryResult {
  subject: FormatName | 'int8';
  /** Codes, scales and biases. */
  packedBytes: number;
  residentGrowth: number;
  timesPacked: number;
  timesSmallerThanFloat32: number;
}

/** Bytes that look random, the same in every run. */
function noise(count: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

/** A matrix of random codes, with scales around 2^-8. */
function drawMatrix(name: FormatName, features: number, group: number): LowBitMatrix {
  const { storage, levels } = formatNamed(name);
  const matrix = {
    format: name,
    storage,
    rows: features,
    depth: features,
    group,
    unit: 1,
    levels: Int8Array.from({ length: 16 }, (_, code) => levels[code] ?? 0),
    codes: noise(features * filterRowBytes(storage, features), 1),
  };
  const scales = Uint16Array.from(noise(features * groupsOf(matrix), 2), (byte) => (7 << 10) | byte);
  return { ...matrix, scales };
}

/** One layer, as a program from float32 to float32 appends it. */
interface Layer {
  append(weights: WeightsBuilder): FilterRef;
  weightBytes: number;
  /** Real weights [outputs][inputs]. */
  floats(): Float32Array;
}

function lowBitLayer(name: FormatName, features: number, group: number): Layer {
  const matrix = drawMatrix(name, features, group);
  const { codes, scales } = matrix;
  return {
    append: (weights) => appendLowBitFilter(weights, matrix, undefined),
    weightBytes: codes.byteLength + scales.byteLength,
    floats: () => decodeMatrix(matrix),
  };
}

function int8Layer(features: number): Layer {
  const codes = Int8Array.from(noise(features * features, 3), (byte) => Math.max(byte - 128, -127));
  const scales = new Float32Array(features).fill(2 ** -12);
  return {
    append: (weights) => ({
      format: WeightFormat.Int8,
      filterOffset: weights.append(codes),
      scaleOffset: weights.append(scales),
    }),
    weightBytes: codes.byteLength + scales.byteLength,
    floats: () => Float32Array.from(codes, (code) => code * 2 ** -12),
  };
}

const layerOf = (name: FormatName | 'int8', features: number, group: number): Layer =>
  name === 'int8' ? int8Layer(features) : lowBitLayer(name, features, group);

/**
 * A chain of the layer `count` times, each with weights of its own, from float32 to float32.
 *
 * @returns what compiles it
 */
function modelOf(layer: Layer, features: number, count: number): () => CompiledProgram {
  const weights = new WeightsBuilder();
  const shape = [-1, features];
  const codes = { type: TensorType.Int8, shape, scale: X_SCALE, zeroPoint: 0 };
  const floats = { type: TensorType.Float32, shape, scale: 1, zeroPoint: 0 };
  const program: Program = { tensors: [floats, codes], ops: [], inputs: [0], outputs: [] };
  const add = (op: object) => program.ops.push(op as Op);
  add({ kind: OpKind.Quantize, name: 'in', inputs: [0], output: 1 });
  for (let i = 0; i < count; i++) {
    const output = program.tensors.push(i + 1 < count ? codes : floats) - 1;
    const filter = layer.append(weights);
    const sizes = { inFeatures: features, outFeatures: features };
    add({
      kind: OpKind.Linear,
      name: `layer_${i}`,
      inputs: [output - 1],
      output,
      filter,
      ...sizes,
      activation: {},
    });
  }
  program.outputs.push(program.tensors.length - 1);
  const [words, bytes] = [encodeProgram(program), weights.build()];
  return () => currentEngine().compile(words, bytes);
}

function compileLayers(layer: Layer, features: number, count: number): CompiledProgram {
  return modelOf(layer, features, count)();
}

/** Resident memory that compiling a model of `MEMORY_LAYERS` layers takes; for a process of its own. */
async function measureMemory(subject: FormatName | 'int8', group: number): Promise<MemoryResult> {
  const layer = layerOf(subject, MEMORY_FEATURES, group);
  // A small one first, so that what the engine itself takes is there before.
  compileLayers(layerOf(subject, SMALL_FEATURES, group), SMALL_FEATURES, 1);
  const compile = modelOf(layer, MEMORY_FEATURES, MEMORY_LAYERS);
  globalThis.gc?.();
  // Collected buffers are given back a little later, by another thread.
  await setTimeout(500);
  const before = process.memoryUsage.rss();
  const compiled = compile();
  const residentGrowth = process.memoryUsage.rss() - before;
  compiled.dispose();
  const packedBytes = MEMORY_LAYERS * layer.weightBytes;
  const parameters = MEMORY_LAYERS * MEMORY_FEATURES * MEMORY_FEATURES;
  return {
    subject,
    packedBytes,
    residentGrowth,
    timesPacked: residentGrowth / packedBytes,
    timesSmallerThanFloat32: (4 * parameters) / residentGrowth,
  };
}

function memoryInProcess(subject: FormatName | 'int8', group: number): MemoryResult {
  const args = ['--expose-gc', __filename, '--memory-of', subject, '--group', String(group)];
  // Large blocks come from the system each by itself, so that none is one that was freed before.
  const env = { ...process.env, MALLOC_MMAP_THRESHOLD_: '65536' };
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', env })) as MemoryResult;
}

interface Subject {
  readonly name: SubjectName;
  readonly weightBytes: number;
  readonly layers: number;
  /** Runs every layer once. */
  run(): void | Promise<void>;
  dispose(): void | Promise<void>;
}

function ourSubject(name: FormatName | 'int8', x: Float32Array, batch: number, options: Options): Subject {
  const { features, group, megabytes } = options;
  const layer = layerOf(name, features, group);
  const layers = Math.max(1, Math.ceil((megabytes * 1e6) / layer.weightBytes));
  const programs = Array.from({ length: layers }, () => compileLayers(layer, features, 1));
  const shapes = [[batch, features]];
  const y = new Float32Array(batch * features);
  programs[0].outputShapes(shapes);
  programs[0].run(shapes, [x], [y]);
  checkOutputs(name, layer.floats(), x, y, features);
  return {
    name,
    layers,
    weightBytes: layer.weightBytes,
    run() {
      for (const program of programs) program.run(shapes, [x], [y]);
    },
    dispose() {
      for (const program of programs) program.dispose();
    },
  };
}

/** onnxruntime's MatMul with float32 weights, all layers on the same input in one model. */
async function onnxSubject(
  x: Float32Array,
  batch: number,
  threads: number,
  options: Options,
): Promise<Subject> {
  const { features, megabytes } = options;
  const weightBytes = 4 * features * features;
  const layers = Math.max(2, Math.ceil((megabytes * 1e6) / weightBytes));
  const values = Float32Array.from(noise(features * features, 4), (byte) => (byte - 128) / 4096);
  const names = Array.from({ length: layers }, (_, i) => `w${i}`);
  const model = encodeModel({
    nodes: names.map((name) => ({ opType: 'MatMul', inputs: ['x', name], output: `y_${name}` })),
    inputs: [{ name: 'x', type: 'float32', shape: [batch, features] }],
    outputs: names.map((name) => ({ name: `y_${name}`, type: 'float32' })),
    constants: new Map(names.map((name) => [name, { type: 'float32', shape: [features, features], values }])),
  });
  const session = await InferenceSession.create(model, {
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const feeds = { x: new Tensor('float32', x, [batch, features]) };
  return {
    name: 'onnxruntime',
    layers,
    weightBytes,
    async run() {
      await session.run(feeds);
    },
    dispose: () => session.release(),
  };
}

/** @throws Error unless the outputs are what float arithmetic makes of the same codes and weights */
function checkOutputs(
  name: string,
  floats: Float32Array,
  x: Float32Array,
  y: Float32Array,
  features: number,
): void {
  let largest = 0;
  let furthest = 0;
  for (let at = 0; at < y.length; at += 37) {
    const [m, n] = [Math.floor(at / features), at % features];
    let sum = 0;
    for (let k = 0; k < features; k++) sum += x[m * features + k]! * floats[n * features + k]!;
    largest = Math.max(largest, Math.abs(sum));
    furthest = Math.max(furthest, Math.abs(sum - y[at]!));
  }
  if (!(furthest <= TOLERANCE * largest)) {
    throw new Error(`${name} is off by ${furthest}, where the largest output is ${largest}.`);
  }
}

async function measure(batch: number, threads: number, options: Options): Promise<Measurement> {
  const { features, rounds } = options;
  const engine = currentEngine();
  engine.threads = threads;
  // Codes at scale X_SCALE exactly, so that quantizing them loses nothing.
  const x = Float32Array.from(noise(batch * features, 5), (byte) => Math.fround((byte - 128) * X_SCALE));
  const ours = (['int8', ...FORMATS] as const).map((name) => ourSubject(name, x, batch, options));
  const subjects = [...ours, await onnxSubject(x, batch, threads, options)];
  const seconds = new Map(subjects.map(({ name }) => [name, [] as number[]]));
  const dram: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
      const start = performance.now();
      await subject.run();
      // The first round is not counted.
      if (round > 0) seconds.get(subject.name)!.push((performance.now() - start) / 1000 / subject.layers);
    }
    dram.push(engine.measureLimits().dramBytes);
  }
  const dramBytesPerSecond = median(dram);
  const float32Bound = (4 * features * features) / dramBytesPerSecond;
  const int8Time = median(seconds.get('int8')!);
  const results = subjects.map(({ name, weightBytes }) => {
    const time = median(seconds.get(name)!);
    return {
      subject: name,
      microseconds: time * 1e6,
      weightBytes,
      bytesPerSecond: weightBytes / time,
      macsPerSecond: (batch * features * features) / time,
      percentOfDram: (100 * weightBytes) / time / dramBytesPerSecond,
      timesFloat32Bound: float32Bound / time,
      timesInt8: int8Time / time,
    };
  });
  for (const subject of subjects) await subject.dispose();
  return { threads, batch, dramBytesPerSecond, float32BoundMicroseconds: float32Bound * 1e6, results };
}

const giga = (value: number) => (value / 1e9).toFixed(1);
const times = (value: number) => `${value.toFixed(2)}x`;

function printMeasurement({ threads, batch, dramBytesPerSecond, ...measurement }: Measurement): void {
  console.log(
    `\nbatch ${batch}, ${threads} threads; memory gives ${giga(dramBytesPerSecond)} GB/s, ` +
      `float32 weights in ${measurement.float32BoundMicroseconds.toFixed(0)} us at best`,
  );
  const rows = measurement.results.map((result) => [
    result.subject === 'onnxruntime' ? 'float32, onnxruntime' : result.subject,
    `${result.microseconds.toFixed(0)} us`,
    `${giga(result.bytesPerSecond)} GB/s`,
    `${result.percentOfDram.toFixed(0)} %`,
    giga(result.macsPerSecond),
    times(result.timesFloat32Bound),
    times(result.timesInt8),
  ]);
  console.log(
    table(
      ['weights', 'a layer', 'read', 'of memory', 'GMAC/s', 'against float32 bound', 'against int8'],
      rows,
    ),
  );
}

function printMemory(results: readonly MemoryResult[]): void {
  const million = (MEMORY_LAYERS * MEMORY_FEATURES * MEMORY_FEATURES) / 2 ** 20;
  console.log(`\nmemory of a dense model of ${million} M weights`);
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  const rows = results.map((result) => [
    result.subject,
    megabytes(result.packedBytes),
    megabytes(result.residentGrowth),
    times(result.timesPacked),
    times(result.timesSmallerThanFloat32),
  ]);
  console.log(
    table(['weights', 'codes and scales', 'resident growth', 'of that', 'smaller than float32'], rows),
  );
}

async function main(options: Options): Promise<void> {
  if (options.memoryOf) {
    console.log(JSON.stringify(await measureMemory(options.memoryOf, options.group)));
    return;
  }
  const memory = (['int8', ...FORMATS] as const).map((name) => memoryInProcess(name, options.group));
  const measurements: Measurement[] = [];
  const versions = { onnxruntime: env.versions.node ?? 'unknown' };
  if (!options.json) {
    console.log(headerLines('npm run bench:lowbit', machine(versions)).join('\n'));
    console.log(
      `${options.features} x ${options.features}, scales of ${options.group} weights, at least ${options.megabytes} MB of ` +
        `weights each, medians of ${options.rounds} rounds`,
    );
    printMemory(memory);
  }
  for (const threads of options.threads) {
    for (const batch of options.batches) {
      measurements.push(await measure(batch, threads, options));
      if (!options.json) printMeasurement(measurements.at(-1)!);
    }
  }
  if (options.json)
    console.log(JSON.stringify({ ...options, machine: machine(versions), memory, measurements }, null, 2));
}

runCommand(
  new Command('bench:lowbit')
    .option('--features <number>', 'inputs and outputs of a layer', positiveInteger, 4096)
    .option('--group <number>', 'weights that share a scale', positiveInteger, 128)
    .option(
      '--megabytes <number>',
      'weights of each kind, at least: several times the last cache',
      positiveInteger,
      160,
    )
    .option('--batches <numbers>', 'separated by commas', positiveIntegers, [1, 4, 16, 128])
    .option('--threads <numbers>', 'separated by commas', positiveIntegers, [1, 2])
    .option('--rounds <number>', 'how often each layer runs', positiveInteger, 20)
    .option('--json', 'print the result as JSON')
    .addOption(new Option('--memory-of <weights>', 'prints the memory of one kind alone').hideHelp())
    .action(main),
);
