/** Which means the biases of the quantized model are corrected for. */
import type { Graph } from '../../graph/ir';
import type { SampleSource } from '../../graph/samples';
import type { QuantizationPlan } from '../../passes/quantize/plan/plan';
import type { Observations } from '../../quantization/observations';
import { measureQuantizedMeans, type QuantizedMeansOptions } from './quantized-means';

/** `none`; `fast`: for the rounding of a layer's own weights; `sequential`: also for what the layers before it do. */
export type BiasCorrection = 'none' | 'fast' | 'sequential';

export const BIAS_CORRECTIONS: readonly BiasCorrection[] = ['none', 'fast', 'sequential'];

export interface CorrectionOptions extends QuantizedMeansOptions {
  method: BiasCorrection;
}

/** Observations with the means that the method corrects for. */
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
