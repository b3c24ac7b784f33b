/** The WebAssembly engine in Node.js, and its modules. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { LowbitError } from '../../src/base/errors';
import { packageRoot } from '../../src/base/package-root';
import { encodeProgram } from '../../src/program/program';
import { createNodeWasmEngine } from '../../src/runtime/wasm-engine-node';
import { setWasmPaths } from '../../src/runtime/wasm-files';
import { CaseBuilder } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { enlarging } from '../support/enlarging';
import { Random } from '../support/random';
import { expectReference, runCompiled } from '../support/run-engine';
import { temporaryFolder } from '../support/tiny-model';

const MODULES = ['lowbit-plain.wasm', 'lowbit-simd.wasm', 'lowbit-relaxed.wasm'] as const;

type Memory = { readonly buffer: ArrayBuffer };

declare const WebAssembly: {
  Module: { new (bytes: Uint8Array): object; imports(module: object): { module: string; name: string }[] };
  Memory: new (limits: { initial: number; maximum: number; shared: boolean }) => Memory;
};

const bytesOf = (file: string) => readFileSync(join(packageRoot(), 'native', 'web', 'modules', file));

afterEach(() => setWasmPaths({}));

describe.each(MODULES)('%s', (file) => {
  test('imports memory, a clock and nothing else', () => {
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytesOf(file)));
    expect(imports.map(({ module, name }) => `${module}.${name}`)).toEqual(['env.memory', 'lowbit.now']);
  });

  test('is at most 450 KB, and 150 KB compressed', () => {
    const bytes = bytesOf(file);
    const compressed = gzipSync(bytes, { level: 9 }).length;
    console.log(`${file}: ${bytes.length} bytes, ${compressed} compressed`);
    expect(bytes.length).toBeLessThanOrEqual(450_000);
    expect(compressed).toBeLessThanOrEqual(150_000);
  });
});

/** Two pools of images of so many rows. */
function pools(rows: number) {
  const builder = new CaseBuilder();
  const drawer = new Drawer(builder, new Random(5));
  const window = { kernel: [3, 3], strides: [1, 1], padding: { mode: 1 } } as const;
  builder.output(drawer.maxPool(drawer.maxPool(drawer.codes([1, rows, 16, 16]), window), window));
  return builder.build();
}

const errorOf = (call: () => unknown): LowbitError => {
  try {
    call();
  } catch (error) {
    if (error instanceof LowbitError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

/** Creates an engine whose memory can grow to so many pages of 64 KiB at most, and returns the memory too. */
function engineWithMemory(isa: string, pages = 65536) {
  const { Memory } = WebAssembly;
  const made: Memory[] = [];
  WebAssembly.Memory = class extends Memory {
    constructor(limits: ConstructorParameters<typeof Memory>[0]) {
      super({ ...limits, maximum: Math.min(limits.maximum, pages) });
      made.push(this);
    }
  };
  try {
    const engine = createNodeWasmEngine({ isa });
    return { engine, memory: made[0]! };
  } finally {
    WebAssembly.Memory = Memory;
  }
}

const ISAS = ['wasm', 'wasmsimd', 'wasmrelaxed'];

describe.each(ISAS)('the engine on %s', (isa) => {
  const { engine, memory } = engineWithMemory(isa);
  const { program, weights, inputShapes } = pools(8);
  const words = encodeProgram(program);

  test('reports what it is', () => {
    expect(engine.kind).toBe('wasm');
    expect(engine.isa).toBe(isa);
    expect(engine.supportedIsas).toEqual(ISAS);
    engine.threads = 4;
    expect(engine.threads).toBe(4);
    engine.threads = 1;
    expect(engine.activeThreads).toBe(1);
  });

  test('refuses with the code and the message of the engine, and goes on', () => {
    const refused = errorOf(() => engine.compile(words.slice(0, 20), weights));
    expect(refused.code).toBe('invalid-program');
    const compiled = engine.compile(words, weights);
    const wrong = errorOf(() => compiled.outputShapes([[1, 8, 16, 15]]));
    expect(wrong.code).toBe('invalid-shape');
    expect(wrong.message).toMatch(/\[1, 8, 16, 15\]/);
    expect(compiled.outputShapes(inputShapes)).toEqual([[1, 8, 16, 16]]);
    compiled.dispose();
  });

  test('frees what failed and what was disposed of: memory stops growing', () => {
    const kernelCase = pools(64);
    const code = encodeProgram(kernelCase.program);
    const rounds = (count: number) => {
      for (let i = 0; i < count; i++) {
        const compiled = engine.compile(code, kernelCase.weights);
        runCompiled(compiled, kernelCase);
        expect(() => compiled.outputShapes([[1, 2, 3]])).toThrow(LowbitError);
        expect(() => engine.compile(code.slice(0, -3), kernelCase.weights)).toThrow(LowbitError);
        compiled.dispose();
      }
      return memory.buffer.byteLength;
    };
    const before = rounds(2);
    expect(rounds(200)).toBe(before);
  });

  test('a disposed program says so', () => {
    const compiled = engine.compile(words, weights);
    compiled.dispose();
    compiled.dispose();
    expect(compiled.memoryBytes).toEqual({ weights: 0, arena: 0, withoutReuse: 0 });
    expect(() => compiled.outputShapes(inputShapes)).toThrow(/disposed/);
  });
});

test('an instruction set that is not there is refused', () => {
  expect(() => createNodeWasmEngine({ isa: 'avx2' })).toThrow('one of wasm, wasmsimd, wasmrelaxed for isa');
});

describe('a module', () => {
  const folder = temporaryFolder();
  const place = (content: Uint8Array) => {
    const file = join(folder, `${Math.random()}.wasm`);
    writeFileSync(file, content);
    setWasmPaths({ 'lowbit-relaxed.wasm': file });
    return file;
  };

  test('lies where the user says', () => {
    setWasmPaths(`${join(packageRoot(), 'native', 'web', 'modules')}/`);
    expectReference(pools(8), [createNodeWasmEngine()]);
    setWasmPaths(`file://${join(packageRoot(), 'native', 'web', 'modules')}/`);
    expectReference(pools(8), [createNodeWasmEngine()]);
    expect(() => setWasmPaths({ 'tfjs-backend-wasm.wasm': 'x' } as object)).toThrow(
      'only lowbit-plain.wasm, lowbit-simd.wasm, lowbit-relaxed.wasm for prefixOrMap',
    );
  });

  test('that is not there, or is none, is refused with what to do', () => {
    setWasmPaths('/nowhere/');
    const missing = errorOf(createNodeWasmEngine);
    expect(missing.code).toBe('engine-unavailable');
    expect(missing.message).toMatch(/\/nowhere\/lowbit-relaxed.wasm.*\n.*setWasmPaths/);
    const file = place(Buffer.from('<!doctype html>'));
    const wrong = errorOf(createNodeWasmEngine);
    expect(wrong.code).toBe('engine-unavailable');
    expect(wrong.message).toContain(`cannot be compiled from ${file}`);
  });

  test('whose memory cannot grow refuses what is too large, and runs what is not', () => {
    const { engine } = engineWithMemory('wasmrelaxed', 256);
    const compiled = engine.compile(enlarging(3000, false), new Int32Array(0));
    for (const call of [
      () => compiled.outputShapes([[1, 1, 1, 1]]),
      () => engine.hadamard(new Float32Array(2 ** 23), { rows: 1, depth: 2 ** 23, block: 2, seed: 1 }),
    ]) {
      const refused = errorOf(call);
      expect(refused.code).toBe('out-of-memory');
      expect(refused.message).toMatch(/Use smaller inputs or batches, or dispose of models/);
    }
    expectReference(pools(8), [engine]);
  });
});
