// @needs addon
import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import '@tensorflow/tfjs-backend-wasm';
import { convert } from '../../src/convert';
import { temporaryFolder, tinySamples, writeTinyModel } from '../support/tiny-model';

const main = resolve(__dirname, '..', '..', 'dist', 'src', 'cli', 'main.js');
let model: string;

beforeAll(async () => {
  const output = join(temporaryFolder(), 'int8');
  await convert({ input: writeTinyModel(), output, calibration: () => tinySamples(4) });
  model = join(output, 'model.json');
});

function bench(...options: string[]): string {
  return execFileSync(process.execPath, [main, 'bench', '--model', model, '--runs', '3', ...options], {
    encoding: 'utf8',
  });
}

test('bench --profile --json tells of every layer, by number of threads', () => {
  const { results } = JSON.parse(bench('--profile', '--json', '--threads', '1,2'));
  expect(results).toHaveLength(2);
  for (const { profile } of results) {
    const names = profile.layers.map(({ name }: { name: string }) => name);
    expect(names).toEqual(expect.arrayContaining(['image', 'conv', 'depthwise', 'mean', 'logits']));
    expect(profile.limits.macs).toBeGreaterThan(0);
  }
});

test('bench --profile prints the layers, their sum and the limits', () => {
  const text = bench('--profile');
  expect(text).toMatch(/limits of the machine: [\d.]+ GMAC\/s int8/);
  expect(text).toMatch(/conv .*Conv2D.*1x8x8x6/);
  expect(text).toMatch(/layers [\d.]+ ms .* whole prediction [\d.]+ ms/);
  expect(text).toMatch(/% of the int8 peak/);
});

test('bench without it has no profile', () => {
  expect(JSON.parse(bench('--json')).results[0]).not.toHaveProperty('profile');
});
