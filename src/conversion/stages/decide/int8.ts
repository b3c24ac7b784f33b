/** Decisions for a model with INT8 activations: widths, codes of weights, biases, and what needs higher precision. */
import type { Graph } from '../../../graph/ir';
import { constantBytes } from '../../../graph/weights';
import type { Settings } from '../../settings';
import type { Int8Decision, ObservedInt8 } from '../../stage-results';
import { decidePrecisions } from './activation-precisions';
import { correctedObservations } from './correction/bias-correction';
import { encodeWeights } from './encode-weights';
import { layersWithoutFeedback, roundWeights } from './round-weights';
import { mixWidths } from './target-bits';

/** Up to this many bytes of weights, those that were quantized once are kept for other programs of the same graph. */
const KEPT_BYTES = 2 ** 26;

function sizeOf({ constants }: Graph): number {
  return [...constants.values()].reduce((sum, constant) => sum + constantBytes(constant), 0);
}

export async function decideInt8(observed: ObservedInt8, settings: Settings): Promise<Int8Decision> {
  const { observations, provenance, checkSamples } = observed;
  const { targetBits, errorFeedback, weightRange, regions, report, signal } = settings;
  const { model, allocation } =
    targetBits === undefined
      ? { model: observed.model, allocation: undefined }
      : await mixWidths(observed.model, observations, settings, targetBits);
  const lowBit = await encodeWeights(model, observations, settings);
  const rounded = errorFeedback ? await roundWeights(model, observations, settings) : undefined;
  const weights = {
    ...{ weightRange, regions, rounded, lowBit },
    ...(sizeOf(model.graph) <= KEPT_BYTES && { filters: new Map() }),
  };
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
    checkSamples,
    weights,
    ...precise,
    ...(errorFeedback && { withoutFeedback: layersWithoutFeedback(model) }),
    ...(allocation && { allocation }),
  };
}
