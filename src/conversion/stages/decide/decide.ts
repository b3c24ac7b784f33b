/** Stage 4: decides how everything is quantized, by the strategies that the settings select. */
import type { Settings } from '../../settings';
import type { Decision, ObservedModel, Prepare } from '../../stage-results';
import { decideInt8 } from './int8';
import { reachAccuracy } from './recipe/accuracy';
import { followRecipe } from './recipe/recipe';
import { decideWeightOnly } from './weight-only';

/**
 * @param prepare the stages before this one, for strategies that compare settings which these depend on
 * @throws LowbitError 'accuracy' or 'invalid-argument' for a target that cannot be met; 'cancelled' on abort
 */
export async function decide(
  observed: ObservedModel,
  settings: Settings,
  prepare: Prepare,
): Promise<Decision> {
  if (observed.activations === 'float32') return decideWeightOnly(observed, settings);
  if (settings.recipe) return followRecipe(observed, settings, settings.recipe, prepare);
  if (settings.tune || settings.accuracyTarget) return reachAccuracy(observed, settings, prepare);
  return decideInt8(observed, settings);
}
