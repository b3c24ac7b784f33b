/**
 * Expert routing: time of a token, natively and as a TF.js kernel, beside plain top-k of TF.js.
 *
 *   npm run bench:route
 *   npm run bench:route -- --experts 128 --top-k 8
 */
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { Command } from 'commander';
import { median } from '../src/base/median';
import { positiveInteger, table } from '../src/cli/command';
import { setThreads } from '../src/index.node';
import { moeRoute } from '../src/kernels.node';
import { Router } from '../src/moe/router';
import { headerLines, machine } from './machine';
import { Random } from './networks/random';
import { runCommand } from './run-command';

interface Options {
  tokens: number;
  experts: number;
  topK: number;
  runs: number;
  json?: boolean;
}

interface Contender {
  readonly name: string;
  readonly tokens: number;
  run(): void;
}

/** Calls of each contender are timed together, as one is shorter than the clock's resolution. */
const CALLS = 100;

async function contenders({ tokens, experts, topK }: Options): Promise<Contender[]> {
  const random = new Random(1);
  const logits = Float32Array.from({ length: tokens * experts }, () => random.normal());
  const resident = Int32Array.from({ length: experts }, (_, e) => Number(e % 4 === 0));
  const native = (name: string, count: number, bonus: number): Contender => {
    const router = new Router({ experts, topK, bonus });
    const rows = logits.subarray(0, count * experts);
    const ids = new Int32Array(count * topK);
    const weights = new Float32Array(count * topK);
    return {
      name,
      tokens: count,
      run: () => router.routeInto({ logits: rows, resident }, count, ids, weights),
    };
  };
  const kernel = (name: string, count: number): Contender => {
    const rows = tf.tensor2d(logits.subarray(0, count * experts), [count, experts]);
    const attrs = { experts, topK };
    return {
      name,
      tokens: count,
      run: () => {
        const { ids, weights } = moeRoute(rows, attrs);
        ids.dispose();
        weights.dispose();
      },
    };
  };
  const tfTopK = (name: string, count: number): Contender => {
    const rows = tf.tensor2d(logits.subarray(0, count * experts), [count, experts]);
    return { name, tokens: count, run: () => tf.tidy(() => void tf.softmax(tf.topk(rows, topK).values)) };
  };
  return [
    native('native, plain', tokens, 0),
    native('native, prefers residents', tokens, 0.2),
    native('native, plain, one token', 1, 0),
    kernel('TF.js kernel', tokens),
    kernel('TF.js kernel, one token', 1),
    tfTopK('topk and softmax of TF.js', tokens),
    tfTopK('topk and softmax of TF.js, one token', 1),
  ];
}

async function main(options: Options): Promise<void> {
  await tf.setBackend('wasm');
  setThreads(1);
  const all = await contenders(options);
  const times = all.map((): number[] => []);
  for (let run = -5; run < options.runs; run++) {
    all.forEach((contender, i) => {
      const start = performance.now();
      for (let call = 0; call < CALLS; call++) contender.run();
      if (run >= 0) times[i].push(((performance.now() - start) * 1e6) / CALLS);
    });
  }
  const results = all.map(({ name, tokens }, i) => {
    const call = median(times[i]);
    return {
      name,
      tokens,
      nanosecondsPerCall: call,
      nanosecondsPerToken: call / tokens,
      least: Math.min(...times[i]) / tokens,
    };
  });
  if (options.json) {
    console.log(JSON.stringify({ ...options, machine: machine(), results }, null, 2));
    return;
  }
  console.log(headerLines('npm run bench:route', machine()).join('\n'));
  console.log(
    `${options.experts} experts, top-${options.topK}, medians of ${options.runs} runs, 1 thread, wasm backend`,
  );
  const rows = results.map(({ name, tokens, nanosecondsPerCall, nanosecondsPerToken, least }) => [
    name,
    tokens,
    `${(nanosecondsPerCall / 1000).toFixed(2)} us`,
    `${nanosecondsPerToken.toFixed(1)} ns`,
    `${least.toFixed(1)} ns`,
  ]);
  console.log(table(['', 'tokens', 'a call', 'a token', 'at least'], rows));
}

runCommand(
  new Command('bench:route')
    .option('--tokens <number>', 'in a batch', positiveInteger, 512)
    .option('--experts <number>', 'to choose from', positiveInteger, 64)
    .option('--top-k <number>', 'experts of a token', positiveInteger, 2)
    .option('--runs <number>', 'timed runs', positiveInteger, 200)
    .option('--json', 'print the result as JSON')
    .action(main),
);
