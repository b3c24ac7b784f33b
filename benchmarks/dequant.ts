/**
 * PiDequant, low-bit numbers to float32, against the stores that the memory takes; and the Hadamard rotation.
 *
 *   npm run bench:dequant
 *   npm run bench:dequant -- --threads 2 --formats codebook2,trellis2 --group 64
 *
 * A small matrix, whose output stays in the second level of cache, and a large one, whose output goes past the caches. What
 * the memory takes is measured in the same run, by stores of the same kind: through the caches, and past them.
 */
import { Command } from 'commander';
import { median } from '../src/base/median';
import { positiveInteger, table } from '../src/cli/command';
import { setThreads } from '../src/index.node';
import { filterRowBytes, type LowBitFormat, WeightFormat } from '../src/program/program';
import { groupsOf } from '../src/quantization/formats/format';
import { currentEngine } from '../src/runtime/current-engine';
import type { MachineLimits, PackedMatrix } from '../src/runtime/engine';
import { headerLines, machine } from './machine';
import { runCommand } from './run-command';

const FORMATS: Readonly<Record<string, LowBitFormat>> = {
  codebook2: WeightFormat.Codebook2,
  trellis2: WeightFormat.Trellis2,
  codebook3: WeightFormat.Codebook3,
  codebook4: WeightFormat.Codebook4,
};

/** Rows and depth: 256 KiB, as much as the stores alone are measured with, and 256 MiB of float32. */
const SIZES = {
  L2: { rows: 16, depth: 4096, limit: 'l2Stores' },
  DRAM: { rows: 16384, depth: 4096, limit: 'dramStores' },
} as const;

const ONE_IN_FLOAT16 = 0x3c00;

/** Time for one measurement. */
const MILLISECONDS = 400;

interface Options {
  threads: number;
  formats: string[];
  group: number;
  json?: boolean;
}

interface Result {
  format: string;
  output: keyof typeof SIZES;
  inputBytesPerSecond: number;
  outputBytesPerSecond: number;
  storeBytesPerSecond: number;
  percentOfStores: number;
}

function names(text: string): string[] {
  const list = text.split(',');
  for (const name of list) {
    if (!(name in FORMATS)) throw new Error(`Expected formats out of ${Object.keys(FORMATS).join(', ')}.`);
  }
  return list;
}

/** Arbitrary codes; what they are does not change the time. */
function matrix(storage: LowBitFormat, rows: number, depth: number, group: number): PackedMatrix {
  const codes = new Uint8Array(rows * filterRowBytes(storage, depth));
  for (let i = 0; i < codes.length; i++) codes[i] = (i * 37) >> 2;
  const used = storage === WeightFormat.Trellis2 ? 16 : { 1: 4, 2: 8, 3: 16 }[storage];
  return {
    ...{ storage, rows, depth, group, unit: 1, codes },
    levels: Int8Array.from({ length: 16 }, (_, i) => (i < used ? 2 * i - used + 1 : 0)),
    scales: new Uint16Array(rows * groupsOf({ depth, group })).fill(ONE_IN_FLOAT16),
  };
}

/** Seconds of a call: the median of some batches of calls. */
function time(call: () => void): number {
  call();
  const start = performance.now();
  call();
  const calls = Math.max(1, Math.round(MILLISECONDS / 20 / (performance.now() - start)));
  const batches: number[] = [];
  for (let spent = 0; spent < MILLISECONDS || batches.length < 3; ) {
    const from = performance.now();
    for (let i = 0; i < calls; i++) call();
    const elapsed = performance.now() - from;
    batches.push(elapsed / calls / 1000);
    spent += elapsed;
  }
  return median(batches);
}

function measure(format: string, output: keyof typeof SIZES, group: number, limits: MachineLimits): Result {
  const { rows, depth, limit } = SIZES[output];
  const packed = matrix(FORMATS[format]!, rows, depth, group);
  const out = new Float32Array(rows * depth);
  const seconds = time(() => currentEngine().dequantize(packed, out));
  const outputBytesPerSecond = out.byteLength / seconds;
  return {
    format,
    output,
    inputBytesPerSecond: (packed.codes.byteLength + packed.scales.byteLength) / seconds,
    outputBytesPerSecond,
    storeBytesPerSecond: limits[limit],
    percentOfStores: (100 * outputBytesPerSecond) / limits[limit],
  };
}

function measureRotation(block: number): { block: number; microseconds: number } {
  const values = new Float32Array(4096).fill(1);
  const rotation = { rows: 1, depth: values.length, block, seed: 1 };
  return { block, microseconds: 1e6 * time(() => currentEngine().hadamard(values, rotation)) };
}

async function main({ threads, formats, group, json }: Options): Promise<void> {
  setThreads(threads);
  const limits = currentEngine().measureLimits();
  const outputs = Object.keys(SIZES) as (keyof typeof SIZES)[];
  const results = formats.flatMap((format) =>
    outputs.map((output) => measure(format, output, group, limits)),
  );
  const rotations = [64, 128, 256].map(measureRotation);
  if (json) {
    console.log(JSON.stringify({ threads, group, machine: machine(), results, rotations }, null, 2));
    return;
  }
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB/s`;
  console.log(headerLines('npm run bench:dequant', machine()).join('\n'));
  console.log(`PiDequant to float32, groups of ${group}, threads: ${threads}`);
  const rows = results.map((result) => [
    result.format,
    result.output,
    gigabytes(result.inputBytesPerSecond),
    gigabytes(result.outputBytesPerSecond),
    gigabytes(result.storeBytesPerSecond),
    `${result.percentOfStores.toFixed(0)} %`,
  ]);
  console.log(table(['format', 'output in', 'read', 'written', 'stores alone', 'of it'], rows));
  console.log('Hadamard rotation of 4096 float32 values');
  const times = rotations.map(({ block, microseconds }) => [block, `${microseconds.toFixed(2)} us`]);
  console.log(table(['block', 'time'], times));
}

runCommand(
  new Command('bench:dequant')
    .option('--threads <number>', 'threads of the engine', positiveInteger, 1)
    .option('--formats <names>', 'separated by commas', names, Object.keys(FORMATS))
    .option('--group <number>', 'numbers that share a scale, a multiple of 32', positiveInteger, 128)
    .option('--json', 'print the result as JSON')
    .action(main),
);
