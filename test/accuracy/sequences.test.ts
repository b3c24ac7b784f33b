// @needs engine
/**
 * Small trained transformers, recurrent networks, a text model with embeddings and a speech model, converted without any
 * option but their data. scripts/train-sequences.py has made them: `--width 32 --steps 50 --samples 16`, on 150
 * batches (lstm: 800), all but the transformer with `--half`. `npm run bench:sequences` shows larger ones.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const BENCHMARK = resolve(__dirname, '..', '..', 'benchmarks', 'sequences.js');
const MODELS = resolve(__dirname, '..', 'fixtures', 'sequences');

interface Row {
  readonly error?: { readonly message: string };
  readonly percent: number;
  readonly products: { readonly all: number; readonly float: number };
  readonly outputs: readonly { readonly whole: Spread; readonly varying: Spread }[];
}

interface Spread {
  readonly median: number | string;
}

function convertAndTest(name: string): Row {
  const folder = mkdtempSync(join(tmpdir(), 'sequences-'));
  const json = join(folder, 'rows.json');
  try {
    const args = [BENCHMARK, name, '--folder', MODELS, '--json', json];
    execFileSync(process.execPath, args, { stdio: 'ignore' });
    return JSON.parse(readFileSync(json, 'utf8'))[0];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** With the products that it has when its loops are written out: 50 turns of two layers. */
test.each([
  ['transformer', 17],
  ['lstm', 103],
  ['gru-layers', 199],
  ['sentences', 17],
  ['speech', 6],
])(
  '%s: all products in INT8, 25 dB on unseen samples',
  async (name, products) => {
    const { error, percent, products: found, outputs } = convertAndTest(name);
    expect(error).toBeUndefined();
    expect(found).toEqual({ all: products, float: 0 });
    expect(percent).toBeGreaterThanOrEqual(95);
    for (const { whole, varying } of outputs) {
      // Of eight samples: on as many others it is a little less.
      expect(Number(whole.median)).toBeGreaterThan(24);
      expect(Number(varying.median)).toBeGreaterThan(24);
    }
  },
  240_000,
);
