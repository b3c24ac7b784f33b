/** Decisions for a model with INT8 activations: widths, codes of weights, biases, and what needs higher precision. */
import type { Settings } from '../../settings';
import type { Int8Decision, ObservedInt8 } from '../../stage-results';
import { decidePrecisions } from './activation-precisions';
import { correctedObservations } from './correction/bias-correction';
import { encodeWeights } from './encode-weights';
import { roundWeights } from './round-weights';
import { mixWidths } from './target-bits';

export async function decideInt8(observed: ObservedInt8, settings: Settings): Promise<Int8Decision> {
  const { observations, provenance } = observed;
  const { targetBits, errorFeedback, weightRange, regions, report, signal } = settings;
  const { model, allocation } =
    targetBits === undefined
      ? { model: observed.model, allocation: undefined }
      : await mixWidths(observed.model, observations, settings, targetBits);
  const lowBit = await encodeWeights(model, observations, settings);
  const rounded = errorFeedback ? await roundWeights(model, observations, settings) : undefined;
  const weights = { weightRange, regions, filters: new Map(), rounded, lowBit };
  const corrected = await correctedObservations(model.graph, model.plan, observations, settings.data!, {
    ...weights,
    method: settings.biasCorrection,
    samples: settings.samples,
    signal,
    onProgress: (done, total) => report('correct', done, total),
  });
  const precise = await decidePrecisions(model, corrected, weights, settings);
  return {
    activations: 'int8',
    settings,
    model,
    observations: corrected,
    provenance,
    weights,
    ...precise,
    ...(allocation && { allocation }),
  };
}
