import { throwIfCancelled, yieldToCancel } from '../../src/base/cancelled';

test('throws once the signal is aborted, and not before', () => {
  const controller = new AbortController();
  throwIfCancelled(undefined);
  throwIfCancelled(controller.signal);
  controller.abort();
  expect(() => throwIfCancelled(controller.signal)).toThrow(expect.objectContaining({ code: 'cancelled' }));
});

test('a loop of synchronous work sees a signal that a timer aborts', async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 0);
  const busy = async () => {
    const end = performance.now() + 20_000;
    while (performance.now() < end) await yieldToCancel(controller.signal);
  };
  await expect(busy()).rejects.toMatchObject({ code: 'cancelled' });
});
