import { LowbitError } from './errors';

/** How long a loop may keep the event loop waiting: short to a person, long beside a turn's effect on timings. */
const TURN_EVERY_MILLISECONDS = 100;

let lastTurn = 0;

/** A turn of the event loop. Browsers make timers wait, those of hidden pages for a second. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    // As browsers and Node.js have it; the types are those of Node.js.
    (port1 as unknown as { onmessage(): void }).onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

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
    await nextTurn();
    lastTurn = performance.now();
  }
  throwIfCancelled(signal);
}
