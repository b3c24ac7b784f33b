/** Runs kernels on backends whose tensors can only be read asynchronously. */
import type { KernelBackend, NamedAttrMap, NamedTensorMap, Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import { LowbitError } from '../src/base/errors';
import type { TensorData } from '../src/runtime/engine';
import type { AsyncHost } from './hosts/host';
import type { LowbitKernel } from './kernel';

/** The error of a kernel that is to give its result while the caller waits. */
export function needsExecuteAsync(kernelName: string, backendName: string): LowbitError {
  return new LowbitError(
    'unsupported-backend',
    `${kernelName}: tensors of the backend '${backendName}' can only be read asynchronously; run the model with ` +
      "executeAsync() or predictAsync(), not with execute() or predict(), or call tf.setBackend('wasm') or tf.setBackend('cpu').",
  );
}

/** Thrown by `read` for a tensor that was not fetched. */
class NotFetched extends Error {}

/**
 * Fetches a kernel's activations and runs it. Weights are fetched only if the kernel reads them, which it does when it
 * compiles its program: it is then run once more.
 */
export async function runAsync(
  kernel: LowbitKernel,
  inputs: NamedTensorMap,
  attrs: NamedAttrMap,
  backend: KernelBackend,
  host: AsyncHost,
): Promise<TensorInfo | TensorInfo[]> {
  const fetched = new Map<object, TensorData>();
  const fetch = (tensors: readonly Tensor[]) =>
    Promise.all(
      tensors.map(async (tensor) => fetched.set(tensor.dataId, await host.readAsync(backend, tensor))),
    );
  const read = (_: KernelBackend, { dataId }: TensorInfo) => {
    const data = fetched.get(dataId);
    if (data === undefined) throw new NotFetched();
    return data;
  };
  const allocate: AsyncHost['allocate'] = (...of) => host.allocate(...of);
  const { backendName } = host;
  const run = () => kernel.run({ inputs, attrs, backend, host: { backendName, read, allocate } });

  const weights = (kernel.weightNames ?? []).flatMap((name) => inputs[name] ?? []);
  await fetch(Object.values(inputs).filter((tensor) => !weights.includes(tensor)));
  try {
    return run();
  } catch (error) {
    if (!(error instanceof NotFetched)) throw error;
  }
  await fetch(weights);
  return run();
}
