/** The plan of a model with INT8 activations. */
import { LowbitError } from '../../../base/errors';
import { measureChannelMaxima } from '../../../calibration/channel-maxima';
import { refKey } from '../../../graph/edit';
import type { Graph } from '../../../graph/ir';
import { mixturesOf } from '../../../graph/mixture';
import { equalizeActivations } from '../../../passes/equalize-activations';
import type { PassResult } from '../../../passes/pass';
import { planQuantization, type QuantizationPlan } from '../../../passes/quantize/plan/plan';
import { floatNodes, type Settings } from '../../settings';
import type { Int8Model } from '../../stage-results';
import { planWeights } from './plan-weights';

/** The one rewrite that needs data comes last. */
async function equalized({ graph, changes }: PassResult, settings: Settings): Promise<PassResult> {
  const { samples, signal } = settings;
  const { regions, shapes } = planQuantization(graph, { float: floatNodes(settings, graph) });
  const tensors = new Map(regions.flatMap((r) => r.observed).map((ref) => [refKey(ref), ref]));
  const maxima = await measureChannelMaxima(graph, [...tensors.values()], settings.data!, {
    samples,
    signal,
  });
  const nodes = regions.flatMap((r) => r.nodes);
  const result = equalizeActivations(graph, shapes, nodes, maxima);
  return { graph: result.graph, changes: [...changes, ...result.changes] };
}

function requireRegions(graph: Graph, plan: QuantizationPlan): void {
  if (plan.regions.length > 0 || mixturesOf(graph).length > 0) return;
  const reasons = [...new Set(plan.float.values())].slice(0, 5).join('; ');
  throw new LowbitError(
    'invalid-model',
    `Nothing in this model can be quantized: ${reasons || 'it has no ops'}.`,
  );
}

export async function planInt8(source: Graph, rewritten: PassResult, settings: Settings): Promise<Int8Model> {
  const { graph, changes } = settings.equalize ? await equalized(rewritten, settings) : rewritten;
  const plan = planQuantization(graph, { float: floatNodes(settings, graph) });
  requireRegions(graph, plan);
  const weightPlan = planWeights(graph, plan, settings);
  return { activations: 'int8', source, ...weightPlan, changes: [...changes, ...weightPlan.changes] };
}
