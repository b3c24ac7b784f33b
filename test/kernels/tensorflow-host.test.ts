// @needs engine
import type { KernelBackend } from '@tensorflow/tfjs-core';
import { tensorflowHost } from '../../kernels/hosts/tensorflow';
import { quantizeKernel } from '../../kernels/Quantize';

/** What tfjs-node's backend is to us: arrays by id. */
class FakeNodeBackend {
  private readonly arrays = new Map<object, Float32Array | Int32Array>();

  write(values: Float32Array | Int32Array): object {
    const dataId = {};
    this.arrays.set(dataId, values);
    return dataId;
  }

  readSync(dataId: object): Float32Array | Int32Array {
    return this.arrays.get(dataId)!;
  }
}

test('a kernel reads and writes arrays of the tensorflow backend', () => {
  const fake = new FakeNodeBackend();
  const backend = fake as unknown as KernelBackend;
  const x = { dataId: fake.write(Float32Array.of(-1, 0, 0.5, 100)), shape: [4], dtype: 'float32' as const };
  const attrs = { scale: 0.5, zeroPoint: 0 };
  const result = quantizeKernel.run({ inputs: { x }, attrs, backend, host: tensorflowHost });
  expect(result).toMatchObject({ shape: [4], dtype: 'int32' });
  expect(Array.from(fake.readSync((result as typeof x).dataId))).toEqual([-2, 0, 1, 127]);
});
