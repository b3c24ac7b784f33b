import type { DataType, KernelBackend, TensorInfo } from '@tensorflow/tfjs-core';
import type { TensorData } from '../../src/runtime/engine';

/** An output in a backend's memory. */
export interface HostOutput {
  readonly tensor: TensorInfo;
  /** Where to write; taken anew after all outputs are made, as a wasm heap that grows detaches its views. */
  data(): TensorData;
}

interface AnyHost {
  readonly backendName: string;
  /** What users should know of this backend; printed once, when a kernel first runs there. */
  readonly notice?: string;
  allocate(backend: KernelBackend, shape: number[], dtype: 'float32' | 'int32'): HostOutput;
}

/** A backend whose tensors can be read while the caller waits. */
export interface SyncHost extends AnyHost {
  /** A float32 or int32 tensor's data, in place where the backend has it in reach. */
  read(backend: KernelBackend, tensor: TensorInfo): TensorData;
}

/** A backend whose tensors can be read asynchronously, which `executeAsync` does. */
export interface AsyncHost extends AnyHost {
  /** A copy of a float32 or int32 tensor's data. */
  readAsync(backend: KernelBackend, tensor: TensorInfo): Promise<TensorData>;
}

/** How the bytes of a backend's tensors are reached; where asynchronously alone, kernels run in `executeAsync` only. */
export type Host = SyncHost | AsyncHost;

export function readsAsync(host: Host): host is AsyncHost {
  return 'readAsync' in host;
}

export function readsSync(host: Host): host is SyncHost {
  return 'read' in host;
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

export function newData(shape: readonly number[], dtype: 'float32' | 'int32'): TensorData {
  const count = elementCount(shape);
  return dtype === 'float32' ? new Float32Array(count) : new Int32Array(count);
}

/**
 * The values of a float32 or int32 tensor as the array type of its dtype: backends may keep them in another one.
 * Compares by name, as typed arrays of another realm fail `instanceof`.
 */
export function asTensorData(values: ArrayLike<number>, dtype: DataType): TensorData {
  const name = Object.prototype.toString.call(values);
  if (dtype === 'float32') {
    return name === '[object Float32Array]' ? (values as Float32Array) : Float32Array.from(values);
  }
  return name === '[object Int32Array]' ? (values as Int32Array) : Int32Array.from(values);
}
