// @needs engine
/** Programs whose weights are read while they are compiled. */
import { LowbitError } from '../../src/base/errors';
import { encodeProgram } from '../../src/program/program';
import type { WeightReader } from '../../src/runtime/engine';
import { createNodeEngine } from '../../src/runtime/node-engine';
import { CaseBuilder } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { forEachCase, type Random } from '../support/random';
import { runCompiled } from '../support/run-engine';

const engine = createNodeEngine();

function readerOf(words: Int32Array): WeightReader & { reads: number; largest: number } {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  return {
    ...{ byteLength: bytes.length, reads: 0, largest: 0, compiled() {} },
    read(offset, into) {
      this.reads++;
      this.largest = Math.max(this.largest, into.length);
      expect(offset + into.length).toBeLessThanOrEqual(bytes.length);
      into.set(bytes.subarray(offset, offset + into.length));
    },
  };
}

function drawCase(random: Random) {
  const builder = new CaseBuilder();
  const drawer = new Drawer(builder, random);
  const depth = random.int(1, 60);
  let x = drawer.codes([random.int(1, 3), depth]);
  for (let i = random.int(1, 4); i > 0; i--) x = drawer.prelu(drawer.lookup(x));
  builder.output(x);
  builder.output(drawer.linear(x, random.int(1, 50)));
  return builder;
}

test('compute the same as those whose weights are given at once', () =>
  forEachCase('weight reader', 40, (random) => {
    const builder = drawCase(random);
    const kernelCase = builder.build();
    const words = encodeProgram(kernelCase.program);
    const reader = readerOf(kernelCase.weights);
    const compiled = jest.spyOn(reader, 'compiled');
    const [once, read] = [engine.compile(words, kernelCase.weights), engine.compile(words, reader)];
    expect(compiled).toHaveBeenCalledTimes(1);
    expect(reader.reads).toBeGreaterThan(0);
    expect(runCompiled(read, kernelCase)).toEqual(runCompiled(once, kernelCase));
    once.dispose();
    read.dispose();
  }));

test('an error of the reader is that of the compilation, and offsets outside are refused before they are read', () =>
  forEachCase('weight reader errors', 5, (random) => {
    const { program, weights } = drawCase(random).build();
    const words = encodeProgram(program);
    const failing = readerOf(weights);
    failing.read = () => {
      throw new LowbitError('io', 'the disk is gone');
    };
    expect(() => engine.compile(words, failing)).toThrow(
      expect.objectContaining({ code: 'io', message: 'the disk is gone' }),
    );
    const short = readerOf(weights.subarray(0, 1));
    expect(() => engine.compile(words, short)).toThrow(/but the weights have 4 bytes/);
    expect(() => engine.compile(words, readerOf(new Int32Array(0)))).toThrow(/but the weights have 0 bytes/);
  }));
