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
 */
import { LowbitError } from '../../../../base/errors';
import { Judge } from '../../../../evaluation/judge';
import { floatAnyway } from '../../../../passes/quantize/plan/plan';
import type { RecipeSettings, Settings } from '../../../settings';
import type { Int8Decision, ObservedInt8, Prepare } from '../../../stage-results';
import { decideInt8 } from '../int8';
import { Climb } from './climb';
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
  const float = floatAnyway(observed.model.plan);
  const judge = await Judge.of(observed.model.source, samples, (node) => float.has(node), settings.signal);
  const climb = new Climb(judge, recipe, within, prepare);
  climb.best = await climb.try('static', await decideInt8(observed, settings));
  let late = false;
  try {
    if (!climb.best.met) await climb.free(observed);
    if (!climb.best.met) await refine(climb);
  } catch (error) {
    const cancelled = error instanceof LowbitError && error.code === 'cancelled';
    late = cancelled && !settings.signal?.aborted;
    if (!late) throw error;
  }
  const { decision, met, step: chosen } = climb.best;
  const { name, target } = recipe;
  const steps = climb.steps.map((step, i) => ({ ...step, ...(i === chosen && { chosen: true as const }) }));
  return {
    ...decision,
    settings: { ...decision.settings, signal: settings.signal },
    checkSamples: { ...observed.checkSamples, float: judge.float },
    recipe: {
      ...{ name, target, samples: samples.length, met, late, steps },
      ...(judge.selections.size > 0 && { selections: Object.fromEntries(judge.selections) }),
    },
  };
}
