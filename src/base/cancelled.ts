import { setImmediate } from 'node:timers/promises';
import { LowbitError } from './errors';

/** How long a loop may keep the event loop waiting: short to a person, long beside a turn's effect on timings. */
const TURN_EVERY_MILLISECONDS = 100;

let lastTurn = 0;

/** @throws LowbitError 'cancelled' once `signal` is aborted */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new LowbitError('cancelled', 'Cancelled.');
}

/**
 * The same, giving the event loop a turn now and then: a loop of synchronous predictions would never see the signal
 * otherwise.
 *
 * @throws LowbitError 'cancelled' once `signal` is aborted
 */
export async function yieldToCancel(signal: AbortSignal | undefined): Promise<void> {
  if (performance.now() - lastTurn > TURN_EVERY_MILLISECONDS) {
    await setImmediate();
    lastTurn = performance.now();
  }
  throwIfCancelled(signal);
}
