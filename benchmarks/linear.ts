/**
 * Linear layers with large weights, one row at a time: bytes of weights per second against what the memory gives.
 *
 *   npm run bench:linear
 *   npm run bench:linear -- --threads 2 --features 2048 --matrices 48
 *
 * Every call of QuantizedLinear takes the next of so many matrices that none is in a cache when its turn comes again.
 */
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { Command } from 'commander';
import { median } from '../src/base/median';
import { positiveInteger, positiveIntegers, table } from '../src/cli/command';
import { setThreads } from '../src/index.node';
import { packInt8, type QuantizedFilter, quantizedLinear } from '../src/kernels.node';
import { currentEngine } from '../src/runtime/current-engine';
import { headerLines, machine } from './machine';
import { runCommand } from './run-command';

interface Options {
  features: number;
  matrices: number;
  threads: number[];
  passes: number;
  json?: boolean;
}

interface Result {
  threads: number;
  /** A matrix by a vector. */
  microseconds: number;
  weightBytesPerSecond: number;
  dramBytesPerSecond: number;
  percentOfDram: number;
}

function ramp(count: number, start: number): Int8Array {
  const codes = new Int8Array(count);
  for (let i = 0; i < count; i++) codes[i] = ((start + i * 37) % 255) - 127;
  return codes;
}

function matrix(features: number, index: number): QuantizedFilter {
  return {
    filter: packInt8(ramp(features * features, index)),
    filterScale: tf.fill([features], 0.002),
    bias: tf.zeros([features], 'int32'),
  };
}

function measure(
  x: tf.Tensor,
  matrices: readonly QuantizedFilter[],
  passes: number,
  threads: number,
): Result {
  const features = x.shape[1]!;
  const attrs = {
    filterShape: [features, features],
    inputScale: 0.05,
    inputZeroPoint: -128,
    outputScale: 0.5,
    outputZeroPoint: 0,
  };
  setThreads(threads);
  const seconds: number[] = [];
  // The first pass packs the weights.
  for (let pass = 0; pass <= passes; pass++) {
    const start = performance.now();
    for (const weights of matrices) quantizedLinear(x, weights, attrs).dispose();
    if (pass > 0) seconds.push((performance.now() - start) / 1000);
  }
  const time = median(seconds);
  const weightBytesPerSecond = (matrices.length * features * features) / time;
  const dramBytesPerSecond = currentEngine().measureLimits().dramBytes;
  return {
    threads,
    microseconds: (time / matrices.length) * 1e6,
    weightBytesPerSecond,
    dramBytesPerSecond,
    percentOfDram: (100 * weightBytesPerSecond) / dramBytesPerSecond,
  };
}

async function main({ features, matrices: count, threads, passes, json }: Options): Promise<void> {
  await tf.setBackend('wasm');
  const x = tf.tensor(Int32Array.from(ramp(features, 0)), [1, features], 'int32');
  const matrices = Array.from({ length: count }, (_, index) => matrix(features, index));
  const results = threads.map((each) => measure(x, matrices, passes, each));
  if (json) {
    console.log(JSON.stringify({ features, matrices: count, passes, machine: machine(), results }, null, 2));
    return;
  }
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB/s`;
  console.log(headerLines('npm run bench:linear', machine()).join('\n'));
  const megabytes = ((count * features * features) / 1e6).toFixed(0);
  console.log(
    `QuantizedLinear ${features} x ${features}, batch 1, ${count} matrices (${megabytes} MB), ${passes} passes`,
  );
  const rows = results.map((result) => [
    result.threads,
    `${result.microseconds.toFixed(0)} us`,
    gigabytes(result.weightBytesPerSecond),
    gigabytes(result.dramBytesPerSecond),
    `${result.percentOfDram.toFixed(0)} %`,
  ]);
  console.log(table(['threads', 'a layer', 'weights read', 'memory gives', 'of it'], rows));
}

runCommand(
  new Command('bench:linear')
    .option('--features <number>', 'inputs and outputs of a layer', positiveInteger, 4096)
    .option('--matrices <number>', 'how many layers', positiveInteger, 16)
    .option('--threads <numbers>', 'separated by commas', positiveIntegers, [1, 2])
    .option('--passes <number>', 'how often each layer runs', positiveInteger, 20)
    .option('--json', 'print the result as JSON')
    .action(main),
);
