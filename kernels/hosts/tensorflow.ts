import type { KernelBackend } from '@tensorflow/tfjs-core';
import { asTensorData, newData, type SyncHost } from './host';

/** What we use of tfjs-node's NodeJSKernelBackend: arrays stay in JavaScript until a TensorFlow op needs them. */
interface NodeBackend extends KernelBackend {
  readSync(dataId: object): Float32Array | Int32Array;
  write(values: Float32Array | Int32Array, shape: number[], dtype: string): object;
}

export const tensorflowHost: SyncHost = {
  backendName: 'tensorflow',
  read: (backend, tensor) => asTensorData((backend as NodeBackend).readSync(tensor.dataId), tensor.dtype),
  allocate(backend, shape, dtype) {
    const values = newData(shape, dtype);
    const dataId = (backend as NodeBackend).write(values, shape, dtype);
    return { tensor: { dataId, shape, dtype }, data: () => values };
  },
};
