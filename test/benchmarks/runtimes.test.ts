// @needs engine
import { join } from 'node:path';
import { timeAlternately } from '../../benchmarks/alternate';
import { type Prepared, prepare } from '../../benchmarks/prepare';
import type { Output, RuntimeName } from '../../benchmarks/runtimes/runtime';
import { RuntimeProcess } from '../../benchmarks/runtimes/runtime-process';
import { batchOf } from '../../benchmarks/subjects';
import type { Sample } from '../../src/graph/ir';
import '../../src/index.node';
import { cosineSimilarity } from '../../src/quantization/metrics';
import { temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

let prepared: Prepared;
let sample: Sample;
const processes: RuntimeProcess[] = [];

function start(): RuntimeProcess {
  const child = new RuntimeProcess();
  processes.push(child);
  return child;
}

beforeAll(async () => {
  const folder = temporaryFolder();
  const tiny = { name: 'tiny', float: async () => writeTinyModel(), calibration: () => tinySamples(16) };
  prepared = await prepare({ ...tiny, test: tiny.calibration }, join(folder, 'tiny'), 16, true);
  sample = await batchOf(() => tinySamples(3), prepared.inputs, 3);
});

afterEach(async () => {
  await Promise.all(processes.splice(0).map((each) => each.end()));
});

function file(runtime: RuntimeName): string {
  if (runtime === 'ours') return prepared.int8;
  return {
    ortInt8: prepared.onnxInt8,
    ortFloat: prepared.onnxFloat,
    wasm: prepared.float,
    cpu: prepared.float,
  }[runtime];
}

const load = (runtime: RuntimeName) => ({ runtime, model: file(runtime), sample, threads: 2 });

const valuesOf = (outputs: readonly Output[], name: string) => outputs.find((o) => o.name === name)!.values;

test('every runtime gives the same answers to the same batch', async () => {
  const { outputs: expected } = await start().load(load('cpu'));
  for (const runtime of ['wasm', 'ours', 'ortFloat', 'ortInt8'] as const) {
    const { outputs } = await start().load(load(runtime));
    for (const { name, values } of expected) {
      expect(values).toHaveLength(3 * 4);
      expect(cosineSimilarity(values, valuesOf(outputs, name))).toBeGreaterThan(0.999);
    }
  }
});

test('times processes in turn, as often as asked for', async () => {
  const children = [start(), start()];
  await children[0].load(load('ours'));
  await children[1].load(load('ortInt8'));
  const times = await timeAlternately(children, { runs: 25, milliseconds: 60_000 });
  expect(times.map((each) => each.length)).toEqual([25, 25]);
  expect(times.flat().every((time) => time > 0)).toBe(true);
});

test('measures the memory of a model: more than nothing, less than the whole process', async () => {
  const { growth, peak } = await start().memory(load('wasm'));
  expect(growth).toBeGreaterThan(0);
  expect(peak).toBeGreaterThan(growth);
});

test('tells what went wrong in the process', async () => {
  await expect(start().load({ ...load('ours'), model: '/nowhere/model.json' })).rejects.toThrow(/nowhere/);
});
