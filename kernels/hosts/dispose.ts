import type { KernelBackend } from '@tensorflow/tfjs-core';

/** Callbacks by the data of the tensor that they wait for, and by what they free. */
const onGone = new WeakMap<object, Map<string, () => void>>();
const watchedBackends = new WeakSet<KernelBackend>();

/**
 * Calls `free` as soon as `backend` frees the data. TF.js has no event for it, so `disposeData` of each backend
 * instance is wrapped.
 *
 * @param what is freed; a further call for the same data replaces the callback
 */
export function freeWithTensor(backend: KernelBackend, dataId: object, what: string, free: () => void): void {
  const waiting = onGone.get(dataId) ?? new Map<string, () => void>();
  onGone.set(dataId, waiting.set(what, free));
  if (watchedBackends.has(backend)) return;
  watchedBackends.add(backend);
  const disposeData = backend.disposeData;
  backend.disposeData = function (this: KernelBackend, id: object, force?: boolean): boolean {
    const gone = disposeData.call(this, id, force);
    if (gone) {
      const callbacks = onGone.get(id)?.values() ?? [];
      onGone.delete(id);
      for (const callback of callbacks) callback();
    }
    return gone;
  };
}
