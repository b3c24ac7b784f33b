/**
 * The strategy of recipes: climbs from what is fastest when the model runs to what is most accurate until the converted
 * model meets a target on samples that the calibration has not seen.
 *
 * 1. static INT8;
 * 2. what costs nothing when the model runs: error feedback of weights, equalization, percentile ranges, each kept
 *    where it helps;
 * 3. dynamic or int16 activations for the layers that need them, or float for those that have neither form;
 * 4. float for a few more.
 *
 * Steps are ordered by their cost when the model runs; none depends on the clock. A time budget that runs out keeps the
 * best model so far.
 *
 * A model that was chosen among many for the samples that they were judged on is worse on others: where it falls short on
 * samples of the calibration data, the search is repeated with that much more of a margin.
 */
import { LowbitError } from '../../../../base/errors';
import type { RecipeSettings, Settings } from '../../../settings';
import type { Int8Decision, ObservedInt8, Prepare } from '../../../stage-results';
import { decideInt8 } from '../int8';
import { Climb } from './climb';
import { FidelityGoal } from './fidelity-goal';
import { refine } from './refine';

/** Settings whose signal is aborted, too, when the time budget has run out. */
function withBudget(settings: Settings, { deadline }: RecipeSettings): Settings {
  const budget = AbortSignal.timeout(Math.max(0, Math.round(deadline - performance.now())));
  const signal = settings.signal ? AbortSignal.any([settings.signal, budget]) : budget;
  return { ...settings, signal };
}

/**
 * Finds the cheapest recipe that reaches the target.
 *
 * @param observed the model under the settings as they are
 */
export async function followRecipe(
  observed: ObservedInt8,
  settings: Settings,
  recipe: RecipeSettings,
  prepare: Prepare,
): Promise<Int8Decision> {
  const { samples } = observed.checkSamples;
  const within = withBudget(settings, recipe);
  const goal = await FidelityGoal.of(observed, recipe.target, settings);
  const climb = new Climb(goal, recipe.open, within, prepare);
  climb.keep(await climb.try('static', await decideInt8(observed, settings)));
  let late = false;
  try {
    if (!climb.best.met) {
      // The timer of a budget that is over by now may have had no turn.
      if (performance.now() > recipe.deadline) throw new LowbitError('cancelled', 'The time budget ran out.');
      await climb.free(observed);
    }
    if (!climb.best.met) await refine(climb);
  } catch (error) {
    const cancelled = error instanceof LowbitError && error.code === 'cancelled';
    late = cancelled && !settings.signal?.aborted;
    if (!late) throw error;
  }
  const { decision, met, step: chosen } = climb.best;
  const { name, target } = recipe;
  const { float, selections } = goal.judge;
  return {
    ...decision,
    settings: { ...decision.settings, signal: settings.signal },
    checkSamples: { ...observed.checkSamples, float },
    recipe: {
      ...{ name, target, samples: samples.length, met, late },
      steps: climb.steps.map((step, i) => ({ ...step, ...(i === chosen && { chosen: true as const }) })),
      ...(selections.size > 0 && { selections: Object.fromEntries(selections) }),
    },
  };
}
