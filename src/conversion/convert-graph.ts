/** Conversion of a float graph in memory: optimize -> observe -> decide -> lower. */
import type { Graph } from '../graph/ir';
import type { SampleSource } from '../graph/samples';
import type { QuantizationOptions } from './options/options';
import { settle } from './options/settle';
import type { Settings } from './settings';
import type { ConvertedModel, Decision, ObservedModel } from './stage-results';
import { decide } from './stages/decide/decide';
import { lower } from './stages/lower/lower';
import { observe } from './stages/observe';
import { optimize } from './stages/optimize/optimize';

async function prepare(source: Graph, settings: Settings): Promise<ObservedModel> {
  const optimized = await optimize(source, settings);
  return observe(optimized, settings);
}

/** All that is decided about a float graph, nothing of which is carried out yet. */
export async function decideConversion(source: Graph, settings: Settings): Promise<Decision> {
  const observed = await prepare(source, settings);
  return decide(observed, settings, (others) => prepare(source, others));
}

/**
 * Converts a float graph in memory.
 *
 * @throws LowbitError as `convert`
 */
export async function convertGraph(
  source: Graph,
  calibration: SampleSource | 'random' | undefined,
  options: QuantizationOptions,
): Promise<ConvertedModel> {
  const settings = settle(options, calibration);
  const decision = await decideConversion(source, settings);
  return lower(decision);
}
