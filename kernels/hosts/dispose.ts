import type { KernelBackend } from '@tensorflow/tfjs-core';

/** What to do when the data of a tensor is gone. */
const onGone = new WeakMap<object, () => void>();
const watchedBackends = new WeakSet<KernelBackend>();

/**
 * Calls `free` as soon as `backend` gives up the data: TF.js tells nobody, so the backend's `disposeData` is wrapped,
 * once an instance.
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
