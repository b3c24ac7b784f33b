import type { KernelBackend, TensorInfo } from '@tensorflow/tfjs-core';
import { asTensorData, newData, type SyncHost } from './host';

/** What we use of MathBackendCPU: values lie in JavaScript arrays. */
interface CpuBackend extends KernelBackend {
  data: { get(dataId: object): { values: ArrayLike<number> } };
  makeTensorInfo(shape: number[], dtype: string, values: unknown): TensorInfo;
}

export const cpuHost: SyncHost = {
  backendName: 'cpu',
  read: (backend, tensor) =>
    asTensorData((backend as CpuBackend).data.get(tensor.dataId).values, tensor.dtype),
  allocate(backend, shape, dtype) {
    const values = newData(shape, dtype);
    return { tensor: (backend as CpuBackend).makeTensorInfo(shape, dtype, values), data: () => values };
  },
};
