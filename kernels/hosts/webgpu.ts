import { type AsyncHost, asTensorData, newData } from './host';

/** Values stay in JavaScript arrays until a shader reads them, weights for good. */
export const webgpuHost: AsyncHost = {
  backendName: 'webgpu',
  readAsync: async (backend, { dataId, dtype }) =>
    asTensorData((await backend.read(dataId)) as ArrayLike<number>, dtype),
  allocate(backend, shape, dtype) {
    const values = newData(shape, dtype);
    return { tensor: { dataId: backend.write(values, shape, dtype), shape, dtype }, data: () => values };
  },
};
