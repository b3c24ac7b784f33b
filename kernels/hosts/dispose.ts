import type { KernelBackend } from '@tensorflow/tfjs-core';

/** Callbacks by the data of the tensor that they wait for. */
const onGone = new WeakMap<object, () => void>();
const watchedBackends = new WeakSet<KernelBackend>();

/**
 * Calls `free` as soon as `backend` frees the data. TF.js has no event for it, so `disposeData` of each backend
 * instance is wrapped.
 */
export function freeWithTensor(backend: KernelBackend, dataId: object, free: () => void): void {
  onGone.set(dataId, free);
  if (watchedBackends.has(backend)) return;
  watchedBackends.add(backend);
  const disposeData = backend.disposeData;
  backend.disposeData = function (this: KernelBackend, id: object, force?: boolean): boolean {
    const gone = disposeData.call(this, id, force);
    if (gone) {
      onGone.get(id)?.();
      onGone.delete(id);
    }
    return gone;
  };
}
