/** Gives as few layers as possible higher precision. */
import { layersOf } from '../../../../passes/quantize/plan/layers';
import type { Int8Decision } from '../../../stage-results';
import { type Climb, MIN_GAIN, type Trial } from './climb';
import {
  addedCosts,
  after,
  describe,
  rankUpgrades,
  type Upgrade,
  withFloatTables,
  withPrecisions,
} from './upgrades';

/** Where the target cannot be reached, a model is near enough that comes so near to the best of all, in dB. */
const NEAR = 1;

/** The share of the layers that may stay in float. */
const MAX_FLOAT = 0.25;

/** Searches, each with the margin that the one before lacked on other samples. */
const MAX_ROUNDS = 4;

/** Models that are tried with some upgrades taken back, in all rounds. */
const MAX_RETURNED = 64;

/** Layers whose upgrades come first. */
function noisiest(upgrades: readonly Upgrade[], count: number): string[] {
  return [...new Set(upgrades.map(({ layer }) => layer))].slice(0, Math.max(0, count));
}

/**
 * Leaves the smallest number of upgrades that is enough.
 *
 * @param most so many are enough
 * @returns how many are
 */
async function fewestUpgrades(
  climb: Climb,
  most: number,
  trialOf: (count: number) => Promise<Trial>,
): Promise<number> {
  let [few, enough] = [0, most];
  const isEnough = async (count: number) => {
    const trial = await trialOf(count);
    if (!climb.isEnough(trial)) return false;
    climb.keep(trial);
    return true;
  };
  for (let count = 1; count < enough; count *= 2) {
    if (await isEnough(count)) enough = count;
    else few = count;
  }
  while (enough - few > 1) {
    const middle = (few + enough) >> 1;
    if (await isEnough(middle)) enough = middle;
    else few = middle;
  }
  return enough;
}

/**
 * The model to give higher precision to: the best so far, or the first of all where that comes nearer to the target with all
 * layers in int16. What helps static INT8 may cost there: equalization makes weights of one layer differ the more.
 */
async function startOf(climb: Climb): Promise<Trial> {
  const { best } = climb;
  const [first] = climb.kept;
  if (best === first || climb.goal.required) return best;
  const inInt16 = ({ decision }: Trial) => {
    const { graph, plan } = decision.model;
    const added = new Map(layersOf(graph, plan).map(({ name }) => [name, 'int16' as const]));
    return climb.try(describe(added), withPrecisions(decision, added), { added });
  };
  const top = await inInt16(best);
  if (top.met) return best;
  return (await inInt16(first)).excess >= top.excess + MIN_GAIN ? first : best;
}

/** Leaves tables in float where their rows in INT8 cost accuracy: that makes the model larger, not slower. */
async function leaveTables(climb: Climb): Promise<void> {
  const { best } = climb;
  if (best.decision.plan.tables.size === 0) return;
  const trial = await climb.try('tables in float', withFloatTables(best.decision));
  if (trial.met || trial.excess >= best.excess + MIN_GAIN) climb.keep(trial);
}

/** Tries a model with some upgrades, each once. */
function trialsOf(climb: Climb, base: Int8Decision) {
  const known = new Map<string, Trial>();
  return async (some: readonly Upgrade[]): Promise<Trial> => {
    const added = after(some);
    const key = [...added].flat().join('\0');
    const trial =
      known.get(key) ?? (await climb.try(describe(added), withPrecisions(base, added), { added }));
    known.set(key, trial);
    return trial;
  };
}

/** Gives layers of higher precision to the model until it reaches the target, or comes as near as it gets. */
export async function refine(climb: Climb): Promise<void> {
  await leaveTables(climb);
  if (climb.best.met) return;
  const { best, goal } = climb;
  const from = await startOf(climb);
  const upgrades = await rankUpgrades(climb, from);
  let trialOf = trialsOf(climb, from.decision);
  let all = await trialOf(upgrades);
  if (!all.met && from.decision.plan.tables.size > 0) {
    // Noise of tables that the layers' own noise hid.
    const withoutTables = trialsOf(climb, withFloatTables(from.decision));
    const other = await withoutTables(upgrades);
    if (other.excess >= all.excess + MIN_GAIN) [trialOf, all] = [withoutTables, other];
  }
  const layers = after(upgrades).size;
  // Where the target is a must, something has to be left in INT8 only.
  const count = goal.required ? layers - 1 : Math.ceil(layers * MAX_FLOAT);
  const inFloat = noisiest(upgrades, count).map((layer): Upgrade => ({ layer, precision: 'float' }));
  const more = all.met ? all : await trialOf([...inFloat, ...upgrades]);
  const top = all.met || more.excess < all.excess + MIN_GAIN ? all : more;
  if (!top.met && (goal.required || top.excess < best.excess + MIN_GAIN)) return;
  if (!top.met) climb.nearest = top.excess - NEAR;
  const ranked = top === all ? upgrades : [...upgrades, ...inFloat];
  let left = MAX_RETURNED;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    climb.keep(top);
    const enough = await fewestUpgrades(climb, ranked.length, (some) => trialOf(ranked.slice(0, some)));
    if (!(await isConfirmed(climb))) continue;
    left = await takeBack(climb, ranked.slice(0, enough), left, trialOf);
    if (await isConfirmed(climb)) return;
  }
}

/** Whether the best model does as well on samples that the search has not seen; if not, it needs more of a margin. */
async function isConfirmed(climb: Climb): Promise<boolean> {
  const { best } = climb;
  const above = best.met ? await climb.confirm(best) : undefined;
  if (above === undefined || above >= 0) return true;
  climb.margin = best.excess - above;
  return false;
}

/**
 * Takes back upgrades that the target does not need, the costliest first: many at once, then fewer, then single ones.
 *
 * @param most models that may be tried
 * @returns how many of them are left
 */
async function takeBack(
  climb: Climb,
  upgrades: readonly Upgrade[],
  most: number,
  trialOf: (upgrades: readonly Upgrade[]) => Promise<Trial>,
): Promise<number> {
  const costOf = addedCosts(climb.best.decision.model);
  let kept = upgrades.toSorted((a, b) => costOf(b.layer, b.precision) - costOf(a.layer, a.precision));
  let left = most;
  for (let size = kept.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < kept.length && left > 0; left--) {
      const without = [...kept.slice(0, at), ...kept.slice(at + size)];
      const trial = without.length > 0 ? await trialOf(without) : undefined;
      if (!trial || !climb.isEnough(trial)) {
        at += size;
        continue;
      }
      climb.keep(trial);
      kept = without;
    }
  }
  return left;
}
