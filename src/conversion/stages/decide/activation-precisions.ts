/** Which layers get int16 or dynamic activations from the start: those configured, and the costliest if so requested. */
import { measureSensitivity } from '../../../evaluation/sensitivity';
import type { Graph } from '../../../graph/ir';
import type { WeightOptions } from '../../../passes/quantize/lower/weight-options';
import type { ActivationPrecision } from '../../../passes/quantize/match/quantizable';
import { layersOf } from '../../../passes/quantize/plan/layers';
import { floatAnyway, planQuantization, type QuantizationPlan } from '../../../passes/quantize/plan/plan';
import type { Observations } from '../../../quantization/observations';
import { configuredPrecisions, type Settings } from '../../settings';
import type { Int8Decision, WeightPlan } from '../../stage-results';
import { planWithPrecisions } from './layer-precisions';
import { planWithoutData } from './without-data';

/** Names of the nodes that have a form with int16 activations. */
function layersWithInt16(graph: Graph, plan: QuantizationPlan): ReadonlySet<string> {
  const all = new Map(layersOf(graph, plan).map(({ name }) => [name, 'int16'] as const));
  const { precisions } = planQuantization(graph, { float: floatAnyway(plan), precisions: all });
  return new Set(precisions.keys());
}

/** The layers that rules name, and the number of those that cost the most accuracy which the settings give. */
async function requestedPrecisions(
  { graph, plan }: WeightPlan,
  observations: Observations,
  weights: WeightOptions,
  settings: Settings,
): Promise<ReadonlyMap<string, ActivationPrecision>> {
  const precisions = configuredPrecisions(settings, graph, plan);
  const { costliestInt16, validation, report, signal } = settings;
  if (costliestInt16 === 0) return precisions;
  const { layers } = await measureSensitivity(graph, plan, observations, validation!, {
    weights,
    signal,
    onProgress: (done, total) => report('measure layers', done, total),
  });
  const able = layersWithInt16(graph, plan);
  const costliest = layers.filter(({ name }) => able.has(name)).slice(0, costliestInt16);
  for (const { name } of costliest) precisions.set(name, 'int16');
  return precisions;
}

/** @param model everything in INT8 that can be */
export async function decidePrecisions(
  model: WeightPlan,
  observations: Observations,
  { regions: _, ...weights }: Int8Decision['weights'],
  settings: Settings,
): Promise<Pick<Int8Decision, 'plan' | 'precisions'>> {
  const { graph, plan } = model;
  if (!settings.data) return planWithoutData(model, configuredPrecisions(settings, graph, plan));
  const precisions = await requestedPrecisions(model, observations, weights, settings);
  if (precisions.size === 0) return { plan, precisions };
  return { plan: planWithPrecisions(graph, plan, precisions), precisions };
}
