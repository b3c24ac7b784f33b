/** Threads of the WebAssembly engine in Node.js: the same results, whatever becomes of the workers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { packageRoot } from '../../src/base/package-root';
import { encodeProgram } from '../../src/program/program';
import { createWasmEngine } from '../../src/runtime/wasm-engine';
import { compileModule } from '../../src/runtime/wasm-module';
import { type HostWorker, SERVE, type WorkerHost } from '../../src/runtime/wasm-threads';
import { nodeWorkers } from '../../src/runtime/wasm-threads-node';
import { CaseBuilder, type KernelCase } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { Random } from '../support/random';
import { runCompiled } from '../support/run-engine';

const bytes = readFileSync(join(packageRoot(), 'native', 'web', 'modules', 'lowbit-simd.wasm'));
const simd = compileModule(bytes, true, 'the repository', '');

function newEngine(workers: WorkerHost) {
  return createWasmEngine(simd, {
    isa: 'wasmsimd',
    supportedIsas: ['wasmsimd'],
    workers,
    openExperts: () => {
      throw new Error('not here');
    },
  });
}

/** Runs this code in workers, to which the data of `serve` is `workerData`. */
function hostOf(code: string, threads = 2): WorkerHost & { readonly started: Worker[] } {
  const started: Worker[] = [];
  return {
    defaultThreads: threads,
    callerMayWait: true,
    started,
    start(workerData, ended): HostWorker {
      const worker = new Worker(code, { eval: true, workerData, execArgv: [], stderr: true });
      let error: Error | undefined;
      worker.on('error', (cause) => {
        error = cause as Error;
      });
      worker.on('exit', () => ended(error));
      worker.unref();
      started.push(worker);
      return { terminate: () => void worker.terminate() };
    },
  };
}

const DATA = `const { workerData } = require('node:worker_threads');`;

/** Enters the job, and ends without a word in the first chunk that it takes: its stack lies at the start of memory. */
const DIES_INSIDE = `${DATA}
  const { module, memory, slot } = workerData;
  const imports = { env: { memory }, lowbit: { now: () => performance.now() } };
  const { exports } = new WebAssembly.Instance(module, imports);
  exports.__stack_pointer.value = 16;
  exports.serve(slot);`;

/** The same, but it was only late: two seconds later it writes all over the memory. */
const IS_LATE = `${DATA}
  try {
    (() => {${DIES_INSIDE.replace(DATA, '')}
    })();
  } catch {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
    new Uint8Array(workerData.memory.buffer).fill(170);
  }`;

/** The same with the code of real workers, which tells of it. */
const TRAPS_INSIDE = `${SERVE}${DATA}
  serve({ ...workerData, stack: 16 });`;

const until = async (condition: () => boolean) => {
  for (const end = Date.now() + 30_000; !condition(); ) {
    if (Date.now() > end) throw new Error('it did not come about in 30 seconds');
    await new Promise((later) => setTimeout(later, 5));
  }
};

/** Products, of several chunks each. */
function network(): KernelCase {
  const builder = new CaseBuilder();
  const drawer = new Drawer(builder, new Random(7));
  const window = { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], padding: { mode: 1 } } as never;
  const first = drawer.codes([1, 48, 48, 24]);
  const filtered = drawer.conv2d(first, { outChannels: 40, groups: 1, window });
  builder.output(drawer.maxPool(drawer.codesOf(filtered), window));
  return builder.build();
}

const kernelCase = network();
const words = encodeProgram(kernelCase.program);

/** Of all elements: `toEqual` takes seconds for as many. */
function expectExpected([output]: readonly ArrayLike<number>[]): void {
  expect(kernelCase.expected[0]!.findIndex((value, i) => value !== output![i])).toBe(-1);
}

function expectExact(engine: ReturnType<typeof newEngine>): void {
  const compiled = engine.compile(words, kernelCase.weights);
  expectExpected(runCompiled(compiled, kernelCase));
  compiled.dispose();
}

test('workers compute their share, with the same results', async () => {
  const engine = newEngine({ ...nodeWorkers(), defaultThreads: 3 });
  expectExact(engine); // alone, while they start
  await until(() => engine.activeThreads === 3);
  for (let i = 0; i < 5; i++) expectExact(engine);
  engine.threads = 2;
  expect(engine.activeThreads).toBe(2);
  expectExact(engine);
  engine.threads = 1;
  expect(engine.activeThreads).toBe(1);
  expectExact(engine);
  engine.threads = 4;
  await until(() => engine.activeThreads === 4);
  expectExact(engine);
});

test('a worker that ended is replaced', async () => {
  const host = hostOf(`${SERVE}${DATA} serve(workerData);`);
  const engine = newEngine(host);
  await until(() => engine.activeThreads === 2);
  await host.started[0]!.terminate();
  expectExact(engine);
  await until(() => host.started.length === 2 && engine.activeThreads === 2);
  expectExact(engine);
});

test('one that is ended while it may compute loses nothing', async () => {
  const host = hostOf(`${SERVE}${DATA} serve(workerData);`);
  const engine = newEngine(host);
  const compiled = engine.compile(words, kernelCase.weights);
  for (let round = 0; round < 10; round++) {
    await until(() => engine.activeThreads === 2);
    void host.started.at(-1)!.terminate();
    expectExpected(runCompiled(compiled, kernelCase));
  }
});

test.each([
  ['without a word', DIES_INSIDE],
  ['with a word', TRAPS_INSIDE],
])('one that dies in a job, %s, is done without', async (_, code) => {
  const host = hostOf(code);
  const engine = newEngine(host);
  await until(() => engine.activeThreads === 2);
  const compiled = engine.compile(words, kernelCase.weights);
  let slowest = 0;
  // Until one that took part has died, and the next run starts another.
  for (let runs = 0; host.started.length === 1 && runs < 1000; runs++) {
    const start = performance.now();
    const outputs = runCompiled(compiled, kernelCase);
    slowest = Math.max(slowest, performance.now() - start);
    expectExpected(outputs);
  }
  expect(host.started.length).toBe(2);
  console.log(`the run that lost it took ${slowest.toFixed(0)} ms`);
  expect(slowest).toBeLessThan(5000);
});

test('one that is taken for dead, and then writes to what it knows, does no harm', async () => {
  const host = hostOf(IS_LATE);
  // It is as alive as before.
  const start: WorkerHost['start'] = (data, ended) => ({ ...host.start(data, ended), terminate: () => {} });
  const engine = newEngine({ ...host, start });
  await until(() => engine.activeThreads === 2);
  const compiled = engine.compile(words, kernelCase.weights);
  const [first] = host.started;
  const end = new Promise((ended) => first!.on('exit', ended));
  while (host.started.length === 1) expectExpected(runCompiled(compiled, kernelCase));
  engine.threads = 1;
  await end;
  expectExpected(runCompiled(compiled, kernelCase));
  expectExact(engine);
  compiled.dispose();
});

test('where none can be started, one thread computes and a warning says what to do', async () => {
  const warn = jest.spyOn(console, 'warn').mockImplementation(() => {});
  const refusing = newEngine({
    defaultThreads: 2,
    callerMayWait: true,
    start() {
      throw new Error('not allowed');
    },
  });
  expectExact(refusing);
  const broken = hostOf('throw new Error("broken");', 4);
  const engine = newEngine(broken);
  expectExact(engine);
  await until(() => warn.mock.calls.length === 2);
  expectExact(engine);
  expect(engine.activeThreads).toBe(1);
  expect(broken.started.length).toBe(3);
  expect(String(warn.mock.calls[0])).toMatch(/one thread.*not allowed.\n.*setThreads\(1\)/);
  expect(String(warn.mock.calls[1])).toMatch(/one thread.*broken.\n.*worker-src blob:/);
  warn.mockRestore();
});
