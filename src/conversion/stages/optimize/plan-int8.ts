/** The plan of a model with INT8 activations. */
import { LowbitError } from '../../../base/errors';
import { measureChannelMaxima } from '../../../calibration/channel-maxima';
import { refKey } from '../../../graph/edit';
import type { Graph } from '../../../graph/ir';
import { mixturesOf } from '../../../graph/mixture';
import { equalizeActivations } from '../../../passes/equalize-activations';
import { channelConcats, equalizeParts } from '../../../passes/equalize-parts';
import type { PassResult } from '../../../passes/pass';
import { planQuantization, type QuantizationPlan } from '../../../passes/quantize/plan/plan';
import { floatNodes, type Settings } from '../../settings';
import type { Int8Model } from '../../stage-results';
import { nodesOfInfiniteResults } from './infinite-results';
import { planWeights } from './plan-weights';

/** Why nodes stay float, by their names. */
type Reasons = ReadonlyMap<string, string>;

/** Samples that show how the parts of a concatenation compare. */
const SAMPLES_OF_PARTS = 8;

/** Parts of concatenations that are far from each other are brought together in any case: it costs nothing. */
async function withEqualParts(
  rewritten: PassResult,
  float: Reasons,
  settings: Settings,
): Promise<PassResult> {
  const { graph, changes } = rewritten;
  const { regions, shapes } = planQuantization(graph, { float });
  const nodes = regions.flatMap((r) => r.nodes);
  const concats = channelConcats(graph, shapes, nodes);
  const { data, signal } = settings;
  if (concats.length === 0 || !data) return rewritten;
  const samples = Math.min(settings.samples, SAMPLES_OF_PARTS);
  const maxima = await measureChannelMaxima(graph, concats, data, { samples, signal });
  const result = equalizeParts(graph, shapes, nodes, maxima);
  return { graph: result.graph, changes: [...changes, ...result.changes] };
}

/** The one rewrite that needs data comes last. */
async function equalized(
  { graph, changes }: PassResult,
  float: Reasons,
  settings: Settings,
): Promise<PassResult> {
  const { samples, signal } = settings;
  const { regions, shapes } = planQuantization(graph, { float });
  if (regions.length === 0) return { graph, changes };
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
  if (plan.regions.length > 0 || plan.tables.size > 0 || mixturesOf(graph).length > 0) return;
  const reasons = [...new Set(plan.float.values())].slice(0, 5).join('; ');
  throw new LowbitError(
    'invalid-model',
    `Nothing in this model can be quantized: ${reasons || 'it has no ops'}.`,
  );
}

export async function planInt8(source: Graph, rewritten: PassResult, settings: Settings): Promise<Int8Model> {
  const infinite = await nodesOfInfiniteResults(rewritten.graph, settings);
  const float = new Map([...infinite, ...floatNodes(settings, rewritten.graph)]);
  const parts = await withEqualParts(rewritten, float, settings);
  const { graph, changes } = settings.equalize ? await equalized(parts, float, settings) : parts;
  const plan = planQuantization(graph, { float });
  requireRegions(graph, plan);
  const weightPlan = planWeights(graph, plan, settings);
  return { activations: 'int8', source, ...weightPlan, changes: [...changes, ...weightPlan.changes] };
}
