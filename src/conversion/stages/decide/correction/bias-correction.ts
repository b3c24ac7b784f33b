/** The means for which the biases of the quantized model are corrected. */
import type { Graph } from '../../../../graph/ir';
import type { SampleSource } from '../../../../graph/samples';
import type { QuantizationPlan } from '../../../../passes/quantize/plan/plan';
import type { BiasCorrection } from '../../../../quantization/bias-correction';
import type { Observations } from '../../../../quantization/observations';
import { measureQuantizedMeans, type QuantizedMeansOptions } from './quantized-means';

export interface CorrectionOptions extends QuantizedMeansOptions {
  method: BiasCorrection;
}

/** Observations with the means that the method corrects. */
export async function correctedObservations(
  graph: Graph,
  plan: QuantizationPlan,
  observations: Observations,
  source: SampleSource,
  { method, ...options }: CorrectionOptions,
): Promise<Observations> {
  switch (method) {
    case 'none':
      return { ...observations, means: new Map() };
    case 'fast':
      return observations;
    case 'sequential':
      return {
        ...observations,
        quantizedMeans: await measureQuantizedMeans(graph, plan, observations, source, options),
      };
  }
}
