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
import { programOfTensor } from '../src/runtime/program-cache';
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

/** Runs a compiled program on tensors of the current backend. */
export function runProgram(
  { backend, host }: KernelCall,
  program: CompiledProgram,
  inputs: readonly TensorInfo[],
  outputType: 'float32' | 'int32',
): TensorInfo[] {
  const shapes = inputs.map((tensor) => tensor.shape);
  const outputs = program.outputShapes(shapes).map((shape) => host.allocate(backend, [...shape], outputType));
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

/** The program compiled from a weight tensor; its native memory is freed when the tensor is disposed of. */
export function cachedProgram(
  { backend }: KernelCall,
  weights: TensorInfo,
  key: string,
  compile: () => CompiledProgram,
): CompiledProgram {
  return programOfTensor(weights.dataId, key, compile, (free) =>
    freeWithTensor(backend, weights.dataId, free),
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
