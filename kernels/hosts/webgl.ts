import { type AsyncHost, asTensorData, newData, type SyncHost } from './host';

/** Values stay in JavaScript arrays until a shader reads them, weights for good. */
export const webglHost: SyncHost & AsyncHost = {
  backendName: 'webgl',
  notice:
    "tfjs-lowbit computes on the CPU. On the backend 'webgl' every prediction waits for the GPU, reads back what " +
    "quantized layers take and uploads what they give. Call tf.setBackend('wasm') or tf.setBackend('cpu') before loading " +
    'a converted model, unless the float parts of the application need the GPU.',
  read: (backend, { dataId, dtype }) => asTensorData(backend.readSync(dataId) as ArrayLike<number>, dtype),
  readAsync: async (backend, { dataId, dtype }) =>
    asTensorData((await backend.read(dataId)) as ArrayLike<number>, dtype),
  allocate(backend, shape, dtype) {
    const values = newData(shape, dtype);
    return { tensor: { dataId: backend.write(values, shape, dtype), shape, dtype }, data: () => values };
  },
};
