/** Runs kernel cases on the engine (`LOWBIT_ENGINE` chooses it) and compares them with the reference, bit for bit. */

import { encodeProgram, type Program, TensorType } from '../../src/program/program';
import type { CompiledProgram, Engine, TensorData } from '../../src/runtime/engine';
import { createNodeEngine } from '../../src/runtime/node-engine';
import { sizeOf } from '../kernels/reference/tensor';
import type { KernelCase } from './case-builder';

const GUARD = 16;
/** As float32 an unlikely number, as int32 no code. */
const UNTOUCHED = 0x5a5a5a5a;

/** One engine for each instruction set of this machine. */
export function everyIsa(): Engine[] {
  return createNodeEngine().supportedIsas.map((isa) => createNodeEngine({ isa }));
}

/** An output buffer within a larger one whose margins must stay as they are. */
function makeOutput(type: TensorType, size: number): { data: TensorData; checkMargins: () => void } {
  const words = new Int32Array(size + 2 * GUARD).fill(UNTOUCHED);
  const data =
    type === TensorType.Float32
      ? new Float32Array(words.buffer, 4 * GUARD, size)
      : words.subarray(GUARD, GUARD + size);
  const checkMargins = () => {
    const margins = [...words.subarray(0, GUARD), ...words.subarray(GUARD + size)];
    if (margins.some((word) => word !== UNTOUCHED)) throw new Error('wrote past the ends of an output');
  };
  return { data, checkMargins };
}

/** Runs a compiled program; every element of the outputs must be written, and none beside them. */
export function runCompiled(
  compiled: CompiledProgram,
  { program, inputs, inputShapes, outputShapes }: KernelCase,
): TensorData[] {
  expect(compiled.outputShapes(inputShapes)).toEqual(outputShapes);
  const outputs = program.outputs.map((id, i) =>
    makeOutput(program.tensors[id]!.type, sizeOf(outputShapes[i]!)),
  );
  compiled.run(
    inputShapes,
    inputs,
    outputs.map(({ data }) => data),
  );
  for (const { checkMargins } of outputs) checkMargins();
  return outputs.map(({ data }) => data);
}

/** What a failing program is made of, without its names. */
function describe(program: Program): string {
  const tensors = program.tensors.map(
    ({ type, shape, scale, zeroPoint }, id) =>
      `${id}: ${TensorType[type]} [${shape}] scale ${scale} zero ${zeroPoint}`,
  );
  return [...tensors, ...program.ops.map((op) => JSON.stringify(op))].join('\n');
}

function compare(kernelCase: KernelCase, outputs: readonly TensorData[], where: string): void {
  for (const [i, output] of outputs.entries()) {
    const expected = kernelCase.expected[i]!;
    const differs = (a: number, b: number) => a !== b && !(Number.isNaN(a) && Number.isNaN(b));
    const wrong = expected.findIndex((value, at) => differs(value, output[at]!));
    if (wrong !== -1) {
      throw new Error(
        `${where}: output ${i} [${kernelCase.outputShapes[i]}], element ${wrong} is ${output[wrong]}, ` +
          `the reference has ${expected[wrong]}\n${describe(kernelCase.program)}`,
      );
    }
  }
}

/** Runs a case on every engine with each number of threads, twice, and requires the reference's results exactly. */
export function expectReference(
  kernelCase: KernelCase,
  engines: readonly Engine[],
  threadCounts: readonly number[] = [1, 2],
): void {
  const words = encodeProgram(kernelCase.program);
  for (const engine of engines) {
    const compiled = engine.compile(words, kernelCase.weights);
    try {
      for (const threads of threadCounts) {
        engine.threads = threads;
        if (engine.threads !== threads) continue;
        for (const run of ['first', 'second']) {
          const where = `${engine.isa}, ${threads} threads, ${run} run`;
          compare(kernelCase, runCompiled(compiled, kernelCase), where);
        }
      }
    } finally {
      compiled.dispose();
    }
  }
}
