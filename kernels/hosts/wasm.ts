import type { KernelBackend, TensorInfo } from '@tensorflow/tfjs-core';
import type { TensorData } from '../../src/runtime/engine';
import type { SyncHost } from './host';

/** What we use of BackendWasm: tensors lie in the WebAssembly heap, which native code reads and writes in place. */
interface WasmBackend extends KernelBackend {
  typedArrayFromHeap(tensor: TensorInfo): TensorData;
  makeOutput(shape: number[], dtype: string): TensorInfo;
}

export const wasmHost: SyncHost = {
  backendName: 'wasm',
  read: (backend, tensor) => (backend as WasmBackend).typedArrayFromHeap(tensor),
  allocate(backend, shape, dtype) {
    const tensor = (backend as WasmBackend).makeOutput(shape, dtype);
    return { tensor, data: () => (backend as WasmBackend).typedArrayFromHeap(tensor) };
  },
};
