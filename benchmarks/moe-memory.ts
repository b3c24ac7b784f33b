/**
 * Memory over many tokens: a converted model with a mixture of experts, loaded and run as any TF.js model, one token at a
 * time.
 *
 *   npm run bench:moe-memory
 *
 * Experts and gates are made up: 4 layers of 128 experts of a quarter of a megabyte. The input changes little from token to token, as
 * in a text, so that there are hits and misses.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import '@tensorflow/tfjs-backend-wasm';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { Command } from 'commander';
import { VERSION } from '../src/base/version';
import { megabytes, percent, positiveInteger, real, table } from '../src/cli/command';
import { ARTEFACT_FORMAT_VERSION } from '../src/graph/artefact';
import { attr } from '../src/graph/attrs';
import { output } from '../src/graph/edit';
import type { Constant, Graph, GraphNode } from '../src/graph/ir';
import { EXPERTS_FILE, MIXTURE_OP } from '../src/graph/mixture';
import { writeGraphModel } from '../src/graph/write-graph-model';
import { fileSystem } from '../src/index.node';
import { type ExpertSettings, expertsOf } from '../src/moe';
import { headerLines, machine } from './machine';
import { writeRandomExperts } from './moe-paging/random-experts';
import { Random } from './networks/random';
import { runCommand } from './run-command';

interface Options {
  tokens: number;
  budget: string;
  bonus: number;
  json?: boolean;
}

const LAYERS = 4;
const EXPERTS = 128;
const TOP_K = 2;
const WIDTH = 256;
const EXPERT_BYTES = 2 ** 18;

/** Tokens before memory is looked at: V8 has compiled by then, and its heap has grown to what it is collected at. */
const WARM_UP = 12_000;

/** Share of the input that a token keeps of the one before. */
const KEPT = 0.9;

const CHECKPOINTS = 10;

/** Memory is looked at every so many tokens. */
const LOOKED_AT = 32;

/** Each layer adds what its experts make of its input. */
function makeGraph(budget: string): Graph {
  const random = new Random(2);
  const type = { T: attr.dtype('float32') };
  const placeholder: GraphNode = {
    name: 'x',
    op: 'Placeholder',
    inputs: [],
    attrs: {
      dtype: attr.dtype('float32'),
      shape: { shape: { dim: [{ size: '-1' }, { size: String(WIDTH) }] } },
    },
  };
  const nodes = new Map([['x', placeholder]]);
  const constants = new Map<string, Constant>();
  const add = (name: string, op: string, inputs: string[], attrs: GraphNode['attrs']) =>
    nodes.set(name, { name, op, inputs: inputs.map((input) => output(input)), attrs });
  let last = 'x';
  for (let layer = 0; layer < LAYERS; layer++) {
    const [gate, mixture, sum] = ['gate', 'mixture', 'sum'].map((name) => `${name}${layer}`);
    const values = Float32Array.from({ length: WIDTH * EXPERTS }, () => random.normal() / 16);
    constants.set(gate, { dtype: 'float32', shape: [WIDTH, EXPERTS], values });
    add(gate, 'Const', [], { dtype: attr.dtype('float32') });
    add(mixture, MIXTURE_OP, [last, gate], { ...type, layer: attr.int(layer) });
    add(sum, 'AddV2', [last, mixture], type);
    last = sum;
  }
  const entry = { dtype: 'float32' as const, shape: [-1, WIDTH] };
  const lowbit = {
    formatVersion: ARTEFACT_FORMAT_VERSION,
    toolVersion: VERSION,
    scheme: 'made up',
    calibration: {},
    layers: [],
    experts: { file: EXPERTS_FILE, topK: TOP_K, budget },
  };
  return {
    nodes,
    constants,
    inputs: [{ name: 'x', ref: output('x'), ...entry }],
    outputs: [{ name: 'y', ref: output(last), ...entry }],
    source: { userDefinedMetadata: { lowbit } },
  };
}

/** Runs tokens one by one; `look` is called now and then. */
async function run(path: string, tokens: number, experts: ExpertSettings, look: (token: number) => void) {
  const model = await loadGraphModel(fileSystem(path, { experts }));
  const mixture = expertsOf(model)!;
  const random = new Random(3);
  const values = Float32Array.from({ length: WIDTH }, () => random.normal());
  look(0);
  const start = performance.now();
  for (let token = 1; token <= tokens; token++) {
    for (let i = 0; i < WIDTH; i++) {
      values[i] = KEPT * values[i] + Math.sqrt(1 - KEPT ** 2) * random.normal();
    }
    tf.tidy(() => (model.predict(tf.tensor2d(values, [1, WIDTH])) as tf.Tensor).dataSync());
    if (token % LOOKED_AT === 0 || token === tokens) look(token);
  }
  const seconds = (performance.now() - start) / 1000;
  const { reservedBytes } = mixture;
  const { hitRate, misses, bytesPaged } = mixture.metrics.summary();
  model.dispose();
  return { reservedBytes, hitRate, misses, bytesPaged, tokensPerSecond: tokens / seconds };
}

async function measure({ tokens, budget, bonus }: Options, path: string) {
  const least = LAYERS * TOP_K * Math.ceil(EXPERT_BYTES / 4096 + 2) * 4096;
  await run(path, WARM_UP, { bonus, budgetBytes: least }, () => {});
  const peaks: number[] = [];
  const [tensors, bytes] = [new Set<number>(), new Set<number>()];
  let before = 0;
  const result = await run(path, tokens, { bonus }, (token) => {
    const resident = process.memoryUsage.rss();
    if (token === 0) {
      before = resident;
      return;
    }
    const part = Math.min(Math.floor((CHECKPOINTS * (token - 1)) / tokens), CHECKPOINTS - 1);
    peaks[part] = Math.max(peaks[part] ?? 0, resident - before);
    const { numTensors, numBytes } = tf.memory();
    tensors.add(numTensors);
    bytes.add(numBytes);
  });
  const most = Math.max(...peaks);
  return { budget, tokens, ...result, peaks, most, tensors: [...tensors], tensorBytes: [...bytes] };
}

async function main(options: Options): Promise<void> {
  await tf.setBackend('wasm');
  const folder = await mkdtemp(join(tmpdir(), 'lowbit-moe-memory-'));
  try {
    const model = join(folder, 'model');
    await writeGraphModel(makeGraph(options.budget), model, {
      writeExperts: async (path) => {
        await writeRandomExperts(path, { layers: LAYERS, experts: EXPERTS }, EXPERT_BYTES, WIDTH);
      },
    });
    const result = await measure(options, join(model, 'model.json'));
    if (options.json) {
      console.log(JSON.stringify({ ...options, machine: machine(), ...result }, null, 2));
      return;
    }
    const { reservedBytes, peaks, most, hitRate, misses, bytesPaged, tokensPerSecond } = result;
    console.log(headerLines('npm run bench:moe-memory', machine()).join('\n'));
    const rows = [
      ['tokens', `${result.tokens}, ${tokensPerSecond.toFixed(0)} a second`],
      ['budget for experts', `${megabytes(reservedBytes)}, ${options.budget} of all`],
      ['hits', `${percent(100 * hitRate)}, ${misses} misses, ${megabytes(bytesPaged)} read`],
      ['most resident growth', `${megabytes(most)}, ${percent((100 * most) / reservedBytes)} of the budget`],
      ['by tenths of the run', peaks.map((peak) => (peak / 1e6).toFixed(1)).join(' ')],
      ['tensors of TF.js', `${result.tensors.join(', ')} (${result.tensorBytes.join(', ')} bytes)`],
    ];
    console.log(table(['', ''], rows));
  } finally {
    await rm(folder, { recursive: true });
  }
}

runCommand(
  new Command('bench:moe-memory')
    .option('--tokens <number>', 'to run', positiveInteger, 100_000)
    .option('--budget <size>', 'memory for experts, as of convert --expert-budget', '50%')
    .option('--bonus <ranges>', 'of experts in memory', real, 0.2)
    .option('--json', 'print the result as JSON')
    .action(main),
);
