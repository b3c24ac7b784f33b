/** Records what the gates of a converted model say to a user's data, for `simulate` and `replay`. */

import { yieldToCancel } from '../base/cancelled';
import { checkArgument, LowbitError } from '../base/errors';
import type { SampleSource } from '../graph/samples';
import { ModelSession } from '../loading/session';
import { type RoutingTrace, writeTrace } from '../moe/trace';
import { importBackend, withBackend } from '../tfjs/backends';

export interface RecordOptions {
  /** Path or file URL of the model.json of a converted model with a mixture of experts. */
  readonly model: string;
  readonly samples: SampleSource;
  /** File for the trace. */
  readonly output: string;
  /** Samples to run at most. Default: all. */
  readonly limit?: number;
  /** Memory for experts, in bytes; default: as the model was converted with. */
  readonly budgetBytes?: number;
  /** What was routed, for people. Default: the path of the model. */
  readonly source?: string;
  readonly signal?: AbortSignal;
  onProgress?(samples: number): void;
}

export interface RecordReport extends Omit<RoutingTrace, 'logits'> {
  readonly output: string;
  readonly samples: number;
  readonly bytes: number;
}

/** [tokens, layers, experts] from the logits of each layer's router, call by call. */
function interleave(calls: readonly (readonly Float32Array[])[], experts: number, model: string) {
  const counts = calls.map((rows) => rows.reduce((sum, { length }) => sum + length, 0) / experts);
  const [tokens] = counts;
  if (counts.some((count) => count !== tokens)) {
    throw new LowbitError(
      'invalid-model',
      `The layers of experts of ${model} see different numbers of tokens (${counts.join(', ')}): a trace has one row of each.`,
    );
  }
  const logits = new Float32Array(tokens * calls.length * experts);
  for (const [layer, rows] of calls.entries()) {
    let token = 0;
    for (const row of rows) {
      for (let at = 0; at < row.length; at += experts, token++) {
        logits.set(row.subarray(at, at + experts), (token * calls.length + layer) * experts);
      }
    }
  }
  return { tokens, logits };
}

/**
 * Runs a model with plain routing and writes the logits of its gates.
 *
 * @throws LowbitError 'invalid-argument' for a model without experts or no samples, 'invalid-model' where its layers see
 *   different numbers of tokens, 'io' if the trace cannot be written (nothing is left then), 'cancelled', or as the loader
 */
export async function recordTrace(options: RecordOptions): Promise<RecordReport> {
  const { model, output, limit = Number.POSITIVE_INFINITY, budgetBytes, signal, source = model } = options;
  const calls: Float32Array[][] = [];
  const onRouting = (layer: number, logits: Float32Array) => {
    calls[layer] ??= [];
    calls[layer].push(logits.slice());
  };
  const { samples, ...shape } = await withBackend(await importBackend(), async () => {
    const session = await ModelSession.load(model, { experts: { budgetBytes, onRouting } });
    try {
      const { experts: mixture } = session;
      checkArgument(mixture !== undefined, 'model', 'a converted model with a mixture of experts', model);
      let run = 0;
      for await (const sample of options.samples(session.inputs)) {
        await yieldToCancel(signal);
        await session.predict(sample);
        run++;
        options.onProgress?.(run);
        if (run >= limit) break;
      }
      checkArgument(run > 0, 'samples', 'one or more', 'none');
      const { layers, experts } = mixture.index;
      return { samples: run, layers, experts, topK: mixture.topK };
    } finally {
      session.dispose();
    }
  });
  const { tokens, logits } = interleave(calls, shape.experts, model);
  await writeTrace(output, { ...shape, tokens, source, logits });
  return { output, samples, ...shape, tokens, source, bytes: logits.byteLength };
}
