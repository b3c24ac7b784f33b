/** The commands on a machine that has Node.js alone: the WebAssembly engine takes over. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { dump } from 'npyjs';
import { TINY_SIZE, temporaryFolder, writeTinyModel } from '../support/tiny-model';

const MAIN = resolve(__dirname, '..', '..', 'dist', 'src', 'cli', 'main.js');
const COUNT = 6;

const folder = temporaryFolder();
const float = writeTinyModel();
const data = join(folder, 'samples.npy');
const lowbit = join(folder, 'int8', 'model.json');

function cli(...args: string[]): string {
  const settings = { LOWBIT_ADDON: join(folder, 'absent.node'), LOWBIT_ENGINE: '', LOWBIT_ISA: '' };
  const env = { ...process.env, ...settings };
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', env });
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
}

beforeAll(() => {
  const values = Float32Array.from({ length: COUNT * TINY_SIZE ** 2 * 3 }, (_, i) => Math.sin(i));
  writeFileSync(data, Buffer.from(dump(values, [COUNT, TINY_SIZE, TINY_SIZE, 3])));
  cli(...['convert', '--input', float, '--output', join(folder, 'int8'), '--calibration', data]);
});

test.each([
  ['inspect', () => [lowbit], /runs here on +│ the wasm engine, wasm(simd|relaxed)/],
  ['bench', () => ['--model', lowbit, '--runs', '3'], /^wasm engine, wasm(simd|relaxed), 3 runs/m],
  [
    'compare',
    () => ['--float', float, '--lowbit', lowbit, '--data', data, '--no-memory'],
    /lowbit on the wasm engine, wasm(simd|relaxed), threads: \d+/,
  ],
  [
    'convert',
    () => ['--input', float, '--calibration', data, '--dry-run'],
    /INT8 on the wasm engine, wasm(simd|relaxed), threads: \d+/,
  ],
])('%s names the engine and its instruction set', (command, args, expected) => {
  expect(cli(command, ...args())).toMatch(expected);
});
