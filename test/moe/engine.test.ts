// @needs engine
/** Experts are paged by whatever engine runs. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { MixtureOfExperts } from '../../src/moe/mixture';
import { writeContainer } from '../../src/moe/store/container';
import { type ExpertLayout, packExpert } from '../../src/moe/store/expert-bytes';
import { fileSource } from '../../src/moe/store/file-source';
import { currentEngine, provideEngine } from '../../src/runtime/current-engine';
import type { Engine, ExpertRange, ExpertReader } from '../../src/runtime/engine';
import { createNodeEngine } from '../../src/runtime/node-engine';
import { randomOf } from '../support/random';

const LAYERS = 2;
const EXPERTS = 8;
const layout: ExpertLayout = { width: 16, hidden: 24, activation: 'relu', gated: false };
const random = randomOf('engine', 0);
const numbers = (count: number) => Float32Array.from({ length: count }, () => random.unit() - 0.5);
const x = numbers(6 * layout.width);
const logits = Array.from({ length: LAYERS }, () => numbers(6 * EXPERTS));

const folder = mkdtempSync(join(tmpdir(), 'lowbit-engine-'));
const path = join(folder, 'experts');
let slotBytes = 0;

beforeAll(async () => {
  const experts = Array.from({ length: LAYERS * EXPERTS }, (_, i) => {
    const matrix = () => ({ values: numbers(layout.width * layout.hidden) });
    const bytes = packExpert(layout, { up: matrix(), down: matrix() }, { format: 'int8' });
    return { layer: Math.floor(i / EXPERTS), expert: i % EXPERTS, precision: 0, bytes };
  });
  slotBytes = 4096 * Math.ceil(experts[0].bytes.length / 4096);
  const precisions = [{ name: 'int8', layout }];
  await writeContainer(path, { layers: LAYERS, experts: EXPERTS, precisions }, experts);
});

afterEach(() => provideEngine(createNodeEngine));
afterAll(() => rmSync(folder, { recursive: true }));

/** Computes as the native engine does; experts come from memory, and none can be read while the caller waits. */
function memoryEngine(): { engine: Engine; calls: string[] } {
  const calls: string[] = [];
  class MemoryReader implements ExpertReader {
    private readonly file: Uint8Array;

    constructor(name: string) {
      this.file = readFileSync(name);
    }

    async read({ offset, bytes, crc }: ExpertRange, into: Uint8Array): Promise<void> {
      calls.push('read');
      const expert = this.file.subarray(offset, offset + bytes);
      if (crc32(expert) !== crc) throw new Error('damaged');
      into.set(expert);
    }

    close(): void {
      calls.push('close');
    }
  }
  const engine: Engine = {
    ...createNodeEngine(),
    kind: 'wasm',
    allocatePages(bytes) {
      calls.push('allocate');
      return new ArrayBuffer(bytes);
    },
    openExperts: (name) => new MemoryReader(name),
  };
  return { engine, calls };
}

async function run(): Promise<{ results: Float32Array[]; misses: number }> {
  const source = await fileSource(path);
  const mixture = new MixtureOfExperts({ source, topK: 2, budgetBytes: 6 * slotBytes });
  const results: Float32Array[] = [];
  for (let round = 0; round < 2; round++) {
    for (let layer = 0; layer < LAYERS; layer++) results.push(await mixture.forward(layer, x, logits[layer]));
  }
  await mixture.close();
  return { results, misses: mixture.metrics.summary().misses };
}

test('an engine without files of its own pages experts from memory, with the same bits', async () => {
  const expected = await run();
  const { engine, calls } = memoryEngine();
  provideEngine(() => engine);
  const { results, misses } = await run();
  expect(results).toEqual(expected.results);
  const count = (name: string) => calls.filter((call) => call === name).length;
  expect([count('allocate'), count('read'), count('close')]).toEqual([1, misses, 1]);
  expect(misses).toBeGreaterThan(6);
});

test('what an engine cannot read while the caller waits is refused', async () => {
  provideEngine(() => memoryEngine().engine);
  const source = await fileSource(path);
  const mixture = new MixtureOfExperts({ source, topK: 2, budgetBytes: 6 * slotBytes });
  expect(() => mixture.forwardNow(0, x, logits[0])).toThrow(/cannot be read while TF.js waits/);
  await mixture.close();
});

test('a failure of the engine names the expert and the file', async () => {
  const { engine } = memoryEngine();
  provideEngine(() => engine);
  jest.spyOn(engine, 'openExperts').mockImplementation(() => ({
    read: async () => {
      throw new Error('the network is down');
    },
    close: () => {},
  }));
  const source = await fileSource(path);
  const mixture = new MixtureOfExperts({ source, topK: 2, budgetBytes: 6 * slotBytes });
  await expect(mixture.forward(0, x, logits[0])).rejects.toThrow(
    /Cannot read expert \d of layer 0 from .*experts: the network is down\.$/,
  );
  await mixture.close();
});

test('without an engine, the first use says what to do', () => {
  jest.isolateModules(() => {
    const fresh =
      require('../../src/runtime/current-engine') as typeof import('../../src/runtime/current-engine');
    expect(() => fresh.currentEngine()).toThrow(/brings no engine.*exports conditions/);
  });
  expect(currentEngine().kind).toBe(createNodeEngine().kind);
});
