// @needs engine
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MixtureOfExperts, type MixtureOptions } from '../../src/moe/mixture';
import { Router } from '../../src/moe/router';
import { writeContainer } from '../../src/moe/store/container';
import {
  type ExpertActivation,
  type ExpertFormat,
  type ExpertLayout,
  type ExpertMatrix,
  type ExpertWeights,
  packExpert,
} from '../../src/moe/store/expert-bytes';
import { fileSource } from '../../src/moe/store/file-source';
import { decodeMatrix } from '../../src/quantization/formats/decode';
import { encodeMatrix } from '../../src/quantization/formats/encode';
import { currentEngine } from '../../src/runtime/current-engine';
import { createNodeEngine } from '../../src/runtime/node-engine';
import { forEachCase, Random } from '../support/random';
import { everyIsa } from '../support/run-engine';

const normals = (random: Random, count: number, size = 1) =>
  Float32Array.from({ length: count }, () => size * (random.unit() + random.unit() + random.unit() - 1.5));

function drawExpert(random: Random, { width, hidden, gated }: ExpertLayout): ExpertWeights {
  const matrix = (rows: number, depth: number): ExpertMatrix => ({
    values: normals(random, rows * depth, 1 / Math.sqrt(depth)),
    ...(random.chance(0.5) && { bias: normals(random, rows) }),
  });
  return {
    up: matrix(hidden, width),
    ...(gated && { gate: matrix(hidden, width) }),
    down: matrix(width, hidden),
  };
}

/** The weights that the stored bytes stand for. */
function stored(
  { values }: ExpertMatrix,
  rows: number,
  depth: number,
  { format, group }: ExpertFormat,
): Float32Array {
  if (format !== 'int8') return decodeMatrix(encodeMatrix(format, values, rows, depth, { group }));
  return values.map((value, i) => {
    const row = values.subarray(Math.floor(i / depth) * depth, (Math.floor(i / depth) + 1) * depth);
    const scale = Math.fround(row.reduce((most, w) => Math.max(most, Math.abs(w)), 0) / 127);
    return Math.round(value / scale) * scale;
  });
}

const FUNCTIONS: Record<ExpertActivation, (x: number) => number> = {
  none: (x) => x,
  relu: (x) => Math.max(x, 0),
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/** The expert in float64. */
function reference(
  layout: ExpertLayout,
  weights: ExpertWeights,
  format: ExpertFormat,
  x: readonly number[],
): number[] {
  const { width, hidden, activation } = layout;
  const linear = (matrix: ExpertMatrix, from: readonly number[], rows: number) => {
    const values = stored(matrix, rows, from.length, format);
    return Array.from({ length: rows }, (_, n) =>
      from.reduce((sum, value, k) => sum + value * values[n * from.length + k]!, matrix.bias?.[n] ?? 0),
    );
  };
  const f = FUNCTIONS[activation];
  const up = linear(weights.up, x, hidden);
  const inner = weights.gate ? linear(weights.gate, x, hidden).map((g, i) => f(g) * up[i]!) : up.map(f);
  return linear(weights.down, inner, width);
}

function drawLayout(random: Random): ExpertLayout {
  return {
    width: random.int(1, 70),
    hidden: random.pick([1, 8, 33, 64, 130]),
    activation: random.pick(['none', 'relu', 'silu', 'gelu']),
    gated: random.chance(0.5),
  };
}

const FORMATS: readonly ExpertFormat[] = [
  { format: 'int8' },
  { format: 'int4', group: 32 },
  { format: 'pi3', group: 0 },
  { format: 'uniform2', group: 64 },
  { format: 'lloyd2', group: 32 },
  { format: 'trellis2', group: 128 },
];

test('an expert equals its definition on the stored weights, with every instruction set alike', () =>
  forEachCase('expert', 60, (random) => {
    const layout = drawLayout(random);
    const weights = drawExpert(random, layout);
    const format = random.pick(FORMATS);
    const bytes = packExpert(layout, weights, format);
    const tokens = random.int(1, 40);
    const x = normals(random, tokens * layout.width);
    const count = random.int(1, tokens);
    const rows = random.ints(count, 0, tokens - 1);
    const gates = normals(random, count);
    const outRows = Int32Array.from({ length: count }, (_, i) => count - i);
    const results = everyIsa().map((engine) => {
      const out = new Float32Array((count + 1) * layout.width).fill(7);
      engine.runExpert(layout, bytes, { x, rows, weights: gates, outRows, out });
      return out;
    });
    for (const result of results)
      expect(Buffer.compare(Buffer.from(result.buffer), Buffer.from(results[0]!.buffer))).toBe(0);
    expect([...results[0]!.subarray(0, layout.width)]).toEqual(new Array(layout.width).fill(7));
    const i = random.int(0, count - 1);
    const row = [...x.subarray(rows[i]! * layout.width, (rows[i]! + 1) * layout.width)];
    reference(layout, weights, format, row).forEach((value, k) => {
      const received = results[0]![outRows[i]! * layout.width + k]!;
      expect(Math.abs(received - value * gates[i]!)).toBeLessThan(1e-4 * (1 + Math.abs(value)));
    });
  }));

test('bytes that are no expert of the shape are refused', () => {
  const layout: ExpertLayout = { width: 8, hidden: 16, activation: 'relu', gated: false };
  const bytes = packExpert(layout, drawExpert(new Random(1), layout), { format: 'int8' });
  const engine = createNodeEngine();
  const run = (change: Partial<ExpertLayout>, given: Uint8Array, row = 0) =>
    engine.runExpert({ ...layout, ...change }, given, {
      x: new Float32Array(8),
      rows: Int32Array.of(row),
      weights: Float32Array.of(1),
      outRows: Int32Array.of(0),
      out: new Float32Array(8),
    });
  run({}, bytes);
  expect(() => run({ gated: true }, bytes)).toThrow('Matrix gate of an expert is [8, 16]');
  expect(() => run({ hidden: 32 }, bytes)).toThrow(
    'Matrix up of an expert is [16, 8] of format 0, expected [32, 8]',
  );
  const other = { activation: 'other' as ExpertActivation };
  expect(() => run(other, bytes)).toThrow('activation -1');
  expect(() => run({}, bytes.subarray(0, 300))).toThrow('end before its matrices do');
  expect(() => run({}, bytes, 1)).toThrow('Row 1 is not one of 1');
  expect(() => run({}, bytes, -1)).toThrow('Row -1');
});

describe('a mixture', () => {
  const LAYERS = 3;
  const EXPERTS = 8;
  const layout: ExpertLayout = { width: 24, hidden: 40, activation: 'silu', gated: true };
  const format: ExpertFormat = { format: 'uniform4', group: 32 };
  const random = new Random(5);
  const experts = Array.from({ length: LAYERS * EXPERTS }, () => drawExpert(random, layout));
  const gates = Array.from({ length: LAYERS }, () => ({ kernel: normals(random, layout.width * EXPERTS) }));
  const x = normals(random, 30 * layout.width);
  const slotBytes = 4096 * Math.ceil(packExpert(layout, experts[0]!, format).length / 4096);
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lowbit-mixture-'));
    const model = { layers: LAYERS, experts: EXPERTS, precisions: [{ name: 'uniform4', layout }] };
    const each = experts.map((weights, i) => ({
      layer: Math.floor(i / EXPERTS),
      expert: i % EXPERTS,
      precision: 0,
      bytes: packExpert(layout, weights, format),
    }));
    await writeContainer(join(folder, 'experts'), model, each);
  });

  afterAll(() => rm(folder, { recursive: true }));

  const open = async (slots: number, options: Partial<MixtureOptions> = {}) =>
    new MixtureOfExperts({
      source: await fileSource(join(folder, 'experts')),
      budgetBytes: slots * slotBytes,
      topK: 2,
      gates,
      inlineBytes: 0,
      ...options,
    });

  test('equals the sum of the chosen experts by gate weight', async () => {
    const mixture = await open(24);
    const out = await mixture.forward(1, x);
    const token = 13;
    const row = [...x.subarray(token * 24, (token + 1) * 24)];
    const logits = Float32Array.from({ length: EXPERTS }, (_, e) =>
      row.reduce((sum, value, i) => sum + value * gates[1]!.kernel[i * EXPERTS + e]!, 0),
    );
    const { ids, weights } = new Router({ experts: EXPERTS, topK: 2 }).route({
      logits,
    });
    const parts = [...ids].map((id) => reference(layout, experts[EXPERTS + id]!, format, row));
    for (let i = 0; i < 24; i++) {
      expect(out[token * 24 + i]).toBeCloseTo(parts[0]![i]! * weights[0]! + parts[1]![i]! * weights[1]!, 4);
    }
    await mixture.close();
  });

  test('computes the same bits with little memory as with all, at once as later, with prefetch or none', async () => {
    const run = async (slots: number, options: Partial<MixtureOptions>, now: boolean) => {
      const mixture = await open(slots, { topK: 3, ...options });
      const results: number[] = [];
      for (let round = 0; round < 3; round++) {
        for (let layer = 0; layer < LAYERS; layer++) {
          const input = x.subarray(round * 24, (round + 5) * 24);
          results.push(...(now ? mixture.forwardNow(layer, input) : await mixture.forward(layer, input)));
        }
      }
      await mixture.close();
      return { results, summary: mixture.metrics.summary() };
    };
    const whole = await run(24, {}, false);
    expect(whole.summary.evictions).toBe(0);
    for (const [options, now] of [
      [{}, false],
      [{}, true],
      [{ inlineBytes: 65536 }, false],
      [{ inlineBytes: 2 * slotBytes }, false],
      [{ prefetch: 2 }, false],
      [{ prefetch: 2, gates }, false],
      [{ policy: 'affinity' as const }, false],
    ] as const) {
      const little = await run(9, options, now);
      expect(little.results).toEqual(whole.results);
      expect(little.summary.evictions).toBeGreaterThan(0);
    }
  });

  test('a few small experts are read on the calling thread, and others are not', async () => {
    const source = await fileSource(join(folder, 'experts'));
    const [read, readNow] = [jest.spyOn(source, 'read'), jest.spyOn(source, 'readNow')];
    const mixture = await open(12, { source, inlineBytes: slotBytes });
    const picks = (...ids: number[]) =>
      Float32Array.from({ length: EXPERTS }, (_, e) => (ids.includes(e) ? 1 : 0));
    const run = (...ids: number[]) => mixture.forward(0, x.subarray(0, 24), picks(...ids));
    await run(0, 1);
    expect([read.mock.calls.length, readNow.mock.calls.length]).toEqual([2, 0]);
    await run(0, 2);
    expect([read.mock.calls.length, readNow.mock.calls.length]).toEqual([2, 1]);
    // While another call reads, none does so on the calling thread.
    await Promise.all([run(3, 4), run(0, 5)]);
    expect([read.mock.calls.length, readNow.mock.calls.length]).toEqual([5, 1]);
    await mixture.close();
  });

  test.each([0, 65536])(
    'layers that run at the same time do not wait for each other for ever, with %p bytes read inline',
    async (inlineBytes) => {
      const mixture = await open(6, { inlineBytes });
      const all = await Promise.all(
        Array.from({ length: 12 }, (_, i) => mixture.forward(i % LAYERS, x.subarray(i * 24, (i + 8) * 24))),
      );
      const whole = await open(24);
      for (const [i, out] of all.entries()) {
        expect([...out]).toEqual([...(await whole.forward(i % LAYERS, x.subarray(i * 24, (i + 8) * 24)))]);
      }
      await mixture.close();
      await whole.close();
    },
  );

  test('where computing fails, what was read meanwhile does not stay in use', async () => {
    const mixture = await open(6);
    const picks = (...ids: number[]) =>
      Float32Array.from({ length: EXPERTS }, (_, e) => (ids.includes(e) ? 1 : 0));
    const row = x.subarray(0, 24);
    await mixture.forward(0, row, picks(0, 1));
    const run = jest.spyOn(currentEngine(), 'runExpert').mockImplementation(() => {
      throw new Error('no memory');
    });
    for (const absent of [2, 3, 4, 5, 6]) {
      await expect(mixture.forward(0, row, picks(0, absent))).rejects.toThrow('no memory');
    }
    run.mockRestore();
    await mixture.forward(1, row, picks(0, 1));
    await mixture.close();
  }, 5_000);

  test('a bonus for residents saves reads, and the share of changed picks is told', async () => {
    const run = async (bonus: number) => {
      const mixture = await open(9, { bonus });
      for (let token = 0; token < 30; token++) {
        for (let layer = 0; layer < LAYERS; layer++)
          await mixture.forward(layer, x.subarray(token * 24, (token + 1) * 24));
      }
      await mixture.close();
      return mixture.metrics.summary();
    };
    const plain = await run(0);
    const favouring = await run(0.3);
    expect(plain.changed).toBe(0);
    expect(favouring.changed).toBeGreaterThan(0);
    expect(favouring.misses).toBeLessThan(plain.misses);
    expect(favouring.routing.count).toBe(90);
  });

  test('reading ahead by the next gate finds more than reading ahead by affinity', async () => {
    const run = async (options: Partial<MixtureOptions>) => {
      const mixture = await open(9, { prefetch: 2, speculativeBytes: 2 * slotBytes, ...options });
      const logits = (layer: number, row: Float32Array) => {
        const out = new Float32Array(EXPERTS);
        row.forEach((value, i) => {
          for (let e = 0; e < EXPERTS; e++) out[e] += value * gates[layer]!.kernel[i * EXPERTS + e]!;
        });
        return out;
      };
      for (let token = 0; token < 30; token++) {
        const row = x.subarray(token * 24, (token + 1) * 24);
        for (let layer = 0; layer < LAYERS; layer++) await mixture.forward(layer, row, logits(layer, row));
      }
      await mixture.close();
      return mixture.metrics.summary().prefetch;
    };
    const byGate = await run({});
    const byAffinity = await run({ gates: undefined });
    // The same row goes into every layer here, so the next gate is always right.
    expect(byGate.precision).toBe(1);
    expect(byAffinity.precision).toBeLessThan(1);
  });

  test('a budget below one token’s experts is refused with the bytes that are needed', async () => {
    await expect(open(5)).rejects.toThrow(`need ${6 * slotBytes}`);
  });

  test('what does not fit is refused', async () => {
    const mixture = await open(9);
    await expect(mixture.forward(0, new Float32Array(25))).rejects.toThrow('rows of 24 numbers');
    await expect(mixture.forward(0, new Float32Array(24), new Float32Array(9))).rejects.toThrow(
      '1 x 8 numbers',
    );
    await expect(
      mixture.forward(0, new Float32Array(24), new Float32Array(8).fill(Number.NaN)),
    ).rejects.toThrow('row 0');
    await mixture.close();
    await expect(open(9, { gates: gates.slice(1) })).rejects.toThrow('one for each of 3 layers');
  });
});
