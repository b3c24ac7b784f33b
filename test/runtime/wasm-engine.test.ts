// @needs engine
/** The WebAssembly engine in Node.js, and its modules. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { LowbitError } from '../../src/base/errors';
import { packageRoot } from '../../src/base/package-root';
import { encodeProgram } from '../../src/program/program';
import { createNodeWasmEngine } from '../../src/runtime/wasm-engine-node';
import { CaseBuilder } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { Random } from '../support/random';
import { runCompiled } from '../support/run-engine';

const MODULES = ['lowbit-plain.wasm', 'lowbit-simd.wasm'];

declare const WebAssembly: {
  Module: { new (bytes: Uint8Array): object; imports(module: object): { module: string; name: string }[] };
};

const bytesOf = (file: string) => readFileSync(join(packageRoot(), 'native', 'web', 'modules', file));

describe.each(MODULES)('%s', (file) => {
  test('imports a clock and nothing else', () => {
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytesOf(file)));
    expect(imports.map(({ module, name }) => `${module}.${name}`)).toEqual(['lowbit.now']);
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

describe.each(['wasm', 'wasmsimd'])('the engine on %s', (isa) => {
  const engine = createNodeWasmEngine({ isa });
  const { program, weights, inputShapes } = pools(8);
  const words = encodeProgram(program);

  test('reports what it is', () => {
    expect(engine.kind).toBe('wasm');
    expect(engine.isa).toBe(isa);
    expect(engine.supportedIsas).toEqual(['wasm', 'wasmsimd']);
    expect(engine.threads).toBe(1);
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
      // The engine's memory grows by whole pages: the room that is left says how much.
      return process.memoryUsage().arrayBuffers;
    };
    const before = rounds(20);
    expect(rounds(200)).toBeLessThan(before + (1 << 20));
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
  expect(() => createNodeWasmEngine({ isa: 'avx2' })).toThrow(/wasm, wasmsimd/);
});
