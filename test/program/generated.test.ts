/** What is generated from the schema: up to date, and the same on both sides of the C ABI. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { OpKind } from '../../src/program/program';
import { FORMAT_VERSION, OPS } from '../../src/program/schema';

const root = join(__dirname, '..', '..');

test('generated files are what the schema makes', () => {
  const script = join(root, 'scripts', 'generate-program.js');
  const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

test('every kind of op has a row, with a version that exists', () => {
  const kinds = OPS.flatMap((row) => Object.entries(row.kinds));
  const named = Object.fromEntries(kinds.map(([name, { number }]) => [name, number]));
  expect(named).toEqual(
    Object.fromEntries(Object.entries(OpKind).filter(([, value]) => typeof value === 'number')),
  );
  for (const [, { since }] of kinds) {
    expect(since).toBeGreaterThanOrEqual(1);
    expect(since).toBeLessThanOrEqual(FORMAT_VERSION);
  }
});
