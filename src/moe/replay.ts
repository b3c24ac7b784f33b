/** Runs a routing trace against real experts: routing, reading and computing, without the model around them. */

import { yieldToCancel } from '../base/cancelled';
import { LowbitError } from '../base/errors';
import type { CacheSummary } from './metrics';
import type { MixtureOfExperts } from './mixture';
import type { RoutingTrace } from './trace';

export interface ReplayOptions {
  /** How often the trace is run, one time after the other. Default 1. */
  readonly repeat?: number;
  readonly signal?: AbortSignal;
  /** Called after each token. */
  readonly onProgress?: (done: number, total: number, summary: () => CacheSummary) => void;
}

export interface Replay {
  readonly tokens: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly reservedBytes: number;
  /** Most resident memory of the process over what it had before the first token. */
  readonly residentGrowth: number;
  readonly metrics: CacheSummary;
}

/** Any numbers do, as what the experts make of them is not looked at. */
function activations(width: number): Float32Array {
  return Float32Array.from({ length: width }, (_, i) => Math.sin(i + 1));
}

/**
 * Replays a trace, token by token and layer by layer.
 *
 * @throws LowbitError 'invalid-argument' if the trace is of other layers or experts, 'cancelled', or as `forward`
 */
export async function replay(
  mixture: MixtureOfExperts,
  trace: RoutingTrace,
  { repeat = 1, signal, onProgress }: ReplayOptions = {},
): Promise<Replay> {
  const { layers, experts, logits } = trace;
  const tokens = trace.tokens * repeat;
  const { index } = mixture;
  if (index.layers !== layers || index.experts !== experts) {
    throw new LowbitError(
      'invalid-argument',
      `The trace is of ${layers} layers of ${experts} experts, the container of ${index.layers} of ${index.experts}.`,
    );
  }
  const x = activations(mixture.width);
  const summary = () => mixture.metrics.summary();
  const before = process.memoryUsage.rss();
  let most = before;
  const start = performance.now();
  for (let token = 0; token < tokens; token++) {
    await yieldToCancel(signal);
    for (let layer = 0; layer < layers; layer++) {
      const at = ((token % trace.tokens) * layers + layer) * experts;
      await mixture.forward(layer, x, logits.subarray(at, at + experts));
    }
    if (token % 64 === 0) most = Math.max(most, process.memoryUsage.rss());
    onProgress?.(token + 1, tokens, summary);
  }
  const seconds = (performance.now() - start) / 1000;
  return {
    tokens,
    seconds,
    tokensPerSecond: tokens / seconds,
    reservedBytes: mixture.reservedBytes,
    residentGrowth: most - before,
    metrics: summary(),
  };
}
