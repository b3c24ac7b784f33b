import { setImmediate } from 'node:timers/promises';
import { LowbitError } from '../errors';

/** @throws LowbitError 'cancelled' once `signal` is aborted */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new LowbitError('cancelled', 'Cancelled.');
}

/**
 * The same, after one turn of the event loop: a loop of synchronous predictions would never see the signal otherwise.
 *
 * @throws LowbitError 'cancelled' once `signal` is aborted
 */
export async function yieldToCancel(signal: AbortSignal | undefined): Promise<void> {
  await setImmediate();
  throwIfCancelled(signal);
}
