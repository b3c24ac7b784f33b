import type { CompiledProgram } from '../../src/runtime/engine';
import { programOfTensor, weightlessProgram } from '../../src/runtime/program-cache';

/** A program that notes when it is freed. */
function program(name: string, freed: string[]): CompiledProgram {
  return { dispose: () => freed.push(name) } as unknown as CompiledProgram;
}

test('compiles once for a tensor and a key, and frees all of the tensor together', () => {
  const freed: string[] = [];
  const dataId = {};
  let free = () => {};
  const compiled: string[] = [];
  const of = (key: string) =>
    programOfTensor(
      dataId,
      key,
      () => {
        compiled.push(key);
        return program(key, freed);
      },
      (all) => {
        free = all;
      },
    );
  expect(of('a')).toBe(of('a'));
  expect(of('b')).not.toBe(of('a'));
  expect(compiled).toEqual(['a', 'b']);
  free();
  expect(freed).toEqual(['a', 'b']);
  of('a');
  expect(compiled).toEqual(['a', 'b', 'a']);
});

test('of programs without weights, the least recently used one is freed', () => {
  const freed: string[] = [];
  const use = (key: string) => weightlessProgram(key, () => program(key, freed));
  for (let i = 0; i < 256; i++) use(`${i}`);
  use('0');
  expect(freed).toEqual([]);
  use('256');
  expect(freed).toEqual(['1']);
});
