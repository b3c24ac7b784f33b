import type { CompiledProgram } from '../../src/runtime/engine';
import { programOfTensors, weightlessProgram } from '../../src/runtime/program-cache';

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
    programOfTensors(
      [dataId],
      key,
      () => {
        compiled.push(key);
        return program(key, freed);
      },
      (_, all) => {
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

test('a program belongs to all tensors that it is compiled from, and goes with the first that goes', () => {
  const freed: string[] = [];
  const frees = new Map<object, () => void>();
  const [filter, bias, otherBias] = [{}, {}, {}];
  const of = (dataIds: readonly object[], name: string) =>
    programOfTensors(
      dataIds,
      'same attributes',
      () => program(name, freed),
      (dataId, free) => frees.set(dataId, free),
    );
  const first = of([filter, bias], 'bias');
  const second = of([filter, otherBias], 'other bias');
  expect(second).not.toBe(first);
  expect(of([bias, filter], 'swapped')).not.toBe(first);
  expect([of([filter, bias], ''), of([filter, otherBias], '')]).toEqual([first, second]);
  frees.get(bias)!();
  expect(freed.sort()).toEqual(['bias', 'swapped']);
  expect(of([filter, otherBias], '')).toBe(second);
  frees.get(filter)!();
  expect(freed.sort()).toEqual(['bias', 'other bias', 'swapped']);
  expect(of([filter, bias], 'again')).not.toBe(first);
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
