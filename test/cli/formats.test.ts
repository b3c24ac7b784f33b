import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import type { FormatsReport } from '../../src/evaluation/formats';
import { describeWithShared, shared } from '../support/shared';
import { writeTinyModel } from '../support/tiny-model';

const MAIN = resolve(__dirname, '..', '..', 'dist', 'src', 'cli', 'main.js');

function run(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, 'formats', ...args], { encoding: 'utf8' });
}

function report(...args: string[]): FormatsReport {
  const { status, stdout, stderr } = run('--json', ...args);
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

describe('tfjs-lowbit formats', () => {
  let tiny: FormatsReport;
  beforeAll(() => {
    tiny = report('--model', writeTinyModel());
  });

  // What a Gaussian source allows at best is 4^-bits: 0.0625 at 2 bits.
  test.each([
    ['trellis2', 0.0625, 0.092, 2.13],
    ['lloyd2', 0.11, 0.119, 2.13],
    ['uniform2', 0.11, 0.121, 2.13],
    ['pi2', 0.14, 0.1494, 2.13],
    ['uniform3', 0.03, 0.0375, 3.13],
    ['int4', 0.009, 0.0115, 4.13],
  ])('%s on N(0, 1)', (name, least, most, mostBits) => {
    const { gaussian, bitsPerWeight } = tiny.distributions.find(({ format }) => format === name)!;
    expect(gaussian.plain).toBeGreaterThan(least);
    expect(gaussian.plain).toBeLessThanOrEqual(most);
    expect(gaussian.rotated).toBeLessThanOrEqual(most);
    expect(bitsPerWeight).toBeLessThanOrEqual(mostBits);
  });

  test('has the published recipe of pi-quantization beside them, which is several times worse', () => {
    const { gaussian } = tiny.distributions.find(({ format }) => format === 'pi2-absmax')!;
    expect(gaussian.plain).toBeGreaterThan(0.4);
    expect(gaussian.plain).toBeLessThan(0.45);
  });

  test('rotation takes Laplace to Gaussian', () => {
    for (const { laplace, gaussian } of tiny.distributions) {
      expect(laplace.rotated).toBeLessThan(0.9 * laplace.plain);
      expect(Math.abs(laplace.rotated / gaussian.plain - 1)).toBeLessThan(0.05);
    }
  });

  test('measures the layers of a model, but for depthwise ones, with what is folded into them', () => {
    const { layers, leftOut, totals } = tiny.model!;
    expect(layers.map(({ name, op, rows, depth }) => [name, op, rows, depth])).toEqual([
      ['conv', '_FusedConv2D', 6, 27],
      ['logits', '_FusedMatMul', 4, 6],
    ]);
    expect(leftOut.map(({ name }) => name)).toEqual(['depthwise']);
    expect(totals.map(({ format }) => format)).toEqual(tiny.distributions.map(({ format }) => format));
  });

  test('prints tables', () => {
    const { status, stdout } = run('--group', '32', '--block', '64');
    expect(status).toBe(0);
    expect(stdout).toMatch(/trellis2 +│ 2\.50\d/);
    expect(stdout).toContain('32 inputs share a scale; rotated in blocks of 64');
  });

  test.each([
    [
      '--group',
      '48',
      "option '--group <inputs>' argument '48' is invalid. Allowed choices are 0, 32, 64, 128, 256.",
    ],
    [
      '--block',
      '32',
      "option '--block <inputs>' argument '32' is invalid. Allowed choices are 64, 128, 256.",
    ],
    ['--model', '/nowhere/model.json', 'Cannot read /nowhere/model.json'],
  ])('refuses %s %s', (option, value, message) => {
    const { status, stdout, stderr } = run(option, value);
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
  });
});

describeWithShared('tfjs-lowbit formats on a real model', () => {
  test('rotation makes ResNet-20 better, and what makes a layer worse is left out', () => {
    const { layers, totals } = report('--model', shared('models', 'resnet20_cifar10', 'model.json')).model!;
    expect(layers.length).toBe(20);
    for (const [i, total] of totals.entries()) {
      const weighted = (pick: (layer: { plain: number; rotated: number }) => number) =>
        layers.reduce((sum, { formats }) => sum + pick(formats[i]), 0);
      expect(weighted(({ plain, rotated }) => Number(rotated < plain))).toBe(total.rotatedLayers);
      expect(total.rotated).toBeLessThan(total.plain);
      expect(total.best).toBeLessThanOrEqual(total.rotated);
    }
    const trellis = totals.find(({ format }) => format === 'trellis2')!;
    expect(trellis.best).toBeLessThan(0.09);
  });
});
