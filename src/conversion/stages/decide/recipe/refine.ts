/** Gives as few layers as possible higher precision. */
import { type Climb, MIN_GAIN, type Trial } from './climb';
import { addedCosts, after, describe, rankUpgrades, type Upgrade, withPrecisions } from './upgrades';

/** Where the target cannot be reached, a model is near enough that comes so near to the best of all, in dB. */
const NEAR = 1;

/** The share of the layers that may stay in float. */
const MAX_FLOAT = 0.25;

/** Models that are tried with some upgrades taken back. */
const MAX_RETURNED = 32;

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
    climb.best = trial;
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

/** Gives layers of higher precision to the model until it reaches the target, or comes as near as it gets. */
export async function refine(climb: Climb): Promise<void> {
  const { decision: base, judgement } = climb.best;
  const upgrades = await rankUpgrades(base, judgement, climb);
  const trialOf = (some: readonly Upgrade[]) => {
    const precisions = after(some);
    return climb.try(describe(precisions), withPrecisions(base, precisions));
  };
  const all = await trialOf(upgrades);
  const few = upgrades.slice(0, Math.ceil(after(upgrades).size * MAX_FLOAT));
  const inFloat = few.map(({ layer }): Upgrade => ({ layer, precision: 'float' }));
  const more = all.met ? all : await trialOf([...inFloat, ...upgrades]);
  const top = all.met || more.excess < all.excess + MIN_GAIN ? all : more;
  if (!top.met && top.excess < climb.best.excess + MIN_GAIN) return;
  climb.best = top;
  if (!top.met) climb.goal = top.excess - NEAR;
  const ranked = top === all ? upgrades : [...upgrades, ...inFloat];
  const enough = await fewestUpgrades(climb, ranked.length, (count) => trialOf(ranked.slice(0, count)));
  await takeBack(climb, ranked.slice(0, enough), trialOf);
}

/** Takes back upgrades that the target does not need, the costliest first: many at once, then fewer, then single ones. */
async function takeBack(
  climb: Climb,
  upgrades: readonly Upgrade[],
  trialOf: (upgrades: readonly Upgrade[]) => Promise<Trial>,
): Promise<void> {
  const { graph, plan } = climb.best.decision.model;
  const costOf = addedCosts(graph, plan);
  let kept = upgrades.toSorted((a, b) => costOf(b.layer, b.precision) - costOf(a.layer, a.precision));
  let left = MAX_RETURNED;
  for (let size = kept.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < kept.length && left > 0; left--) {
      const without = [...kept.slice(0, at), ...kept.slice(at + size)];
      const trial = without.length > 0 ? await trialOf(without) : undefined;
      if (trial && climb.isEnough(trial)) [climb.best, kept] = [trial, without];
      else at += size;
    }
  }
}
