import type {
  engine,
  KernelBackend,
  NamedAttrMap,
  NamedTensorInfoMap,
  Tensor,
  TensorInfo,
} from '@tensorflow/tfjs-core';
import { LowbitError } from '../src/base/errors';
import type { CompiledProgram, TensorData } from '../src/runtime/engine';
import { programOfTensors } from '../src/runtime/program-cache';
import { timedRun } from '../src/runtime/run-timer';
import { freeWithTensor } from './hosts/dispose';
import type { HostOutput, SyncHost } from './hosts/host';

/** A call of a kernel by TF.js, with the host of the current backend. */
export interface KernelCall {
  inputs: NamedTensorInfoMap;
  attrs: NamedAttrMap;
  backend: KernelBackend;
  host: SyncHost;
}

/** A node of a graph as TF.js runs it. */
export interface GraphCall {
  engine: ReturnType<typeof engine>;
  inputs: readonly Tensor[];
  attrs: NamedAttrMap;
}

/** A TF.js kernel that runs on every backend we have a host for. */
export interface LowbitKernel {
  /** Name of the TF.js kernel and of the graph op. */
  readonly name: string;
  /** Names of the inputs in the order of a graph node's; `...name` stands for any number of inputs. */
  readonly inputNames: readonly string[];
  /** Inputs that a program is compiled from, read only when that is done. */
  readonly weightNames?: readonly string[];
  run(call: KernelCall): TensorInfo | TensorInfo[];
  /** Executes a node of a graph; default: runs the kernel. */
  execute?(call: GraphCall): Tensor | Promise<Tensor>;
}

type Shapes = readonly (readonly number[])[];

/**
 * The shapes of a program's outputs for an empty batch, which no engine plans: every dimension is a linear function of
 * the batch, and known for one and for two samples.
 *
 * @returns undefined unless inputs are empty by their first axis alone, and no output has elements then
 */
function emptyShapes(program: CompiledProgram, shapes: Shapes): number[][] | undefined {
  if (!shapes.some(([batch]) => batch === 0)) return undefined;
  if (shapes.some((shape) => shape.slice(1).includes(0))) return undefined;
  const forBatch = (count: number) =>
    program.outputShapes(shapes.map((shape) => (shape[0] === 0 ? [count, ...shape.slice(1)] : shape)));
  const [one, two] = [forBatch(1), forBatch(2)];
  const empty = one.map((shape, i) => shape.map((size, axis) => Math.max(0, 2 * size - two[i][axis])));
  return empty.every((shape) => shape.includes(0)) ? empty : undefined;
}

/** Runs a compiled program on tensors of the current backend. */
export function runProgram(
  { backend, host }: KernelCall,
  program: CompiledProgram,
  inputs: readonly TensorInfo[],
  outputType: 'float32' | 'int32',
): TensorInfo[] {
  const shapes = inputs.map((tensor) => tensor.shape);
  const allocate = (shape: readonly number[]) => host.allocate(backend, [...shape], outputType);
  const empty = emptyShapes(program, shapes);
  if (empty) return empty.map((shape) => allocate(shape).tensor);
  const outputs = program.outputShapes(shapes).map(allocate);
  return fill(backend, outputs, (to) => {
    const from = inputs.map((tensor) => host.read(backend, tensor));
    timedRun(program, () => program.run(shapes, from, to));
  });
}

/** Writes to outputs; where that fails, they are freed. */
export function fill(
  backend: KernelBackend,
  outputs: readonly HostOutput[],
  write: (data: TensorData[]) => void,
): TensorInfo[] {
  try {
    write(outputs.map((output) => output.data()));
  } catch (error) {
    for (const { tensor } of outputs) backend.disposeData(tensor.dataId);
    throw error;
  }
  return outputs.map((output) => output.tensor);
}

/** The program compiled from weight tensors; its native memory is freed when one of them is disposed of. */
export function cachedProgram(
  { backend }: KernelCall,
  weights: readonly TensorInfo[],
  key: string,
  compile: () => CompiledProgram,
): CompiledProgram {
  const dataIds = weights.map(({ dataId }) => dataId);
  return programOfTensors(dataIds, key, compile, (dataId, free) =>
    freeWithTensor(backend, dataId, 'programs', free),
  );
}

/** Throws unless an input is there and has the dtype. */
export function checkInput(
  kernelName: string,
  inputs: NamedTensorInfoMap,
  name: string,
  dtype: 'float32' | 'int32',
): TensorInfo {
  const tensor = inputs[name];
  if (tensor === undefined || tensor.dtype !== dtype) {
    throw new LowbitError(
      'invalid-argument',
      `${kernelName}: expected a ${dtype} tensor for input '${name}' but received ${tensor ? tensor.dtype : 'none'}.`,
    );
  }
  return tensor;
}
