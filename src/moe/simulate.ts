/** Replays a routing trace through an expert cache: counts misses, and the cost of preferring resident experts. */
import { LowbitError } from '../base/errors';
import { ExpertAffinity } from './affinity';
import { Belady, makePolicy, ONLINE_POLICIES } from './cache/eviction-policy';
import { ResidentSet } from './cache/resident-set';
import { Router } from './router';
import type { RoutingTrace } from './trace';

export const POLICIES = [...ONLINE_POLICIES, 'belady'] as const;
export type PolicyName = (typeof POLICIES)[number];

export interface SimulationOptions {
  readonly policy: PolicyName;
  /** Experts that fit in memory, of all layers together. */
  readonly slots: number;
  /** As in `RouterOptions`. Belady knows plain routing only. */
  readonly bonus?: number;
  readonly bonusUnit?: 'range' | 'score';
  readonly protect?: number;
}

export interface Simulation {
  readonly uses: number;
  readonly misses: number;
  /** Share of uses that found the expert in memory. */
  readonly hitRate: number;
  /** Share of picks that plain routing would not have made. */
  readonly changed: number;
  /** Share of the softmax mass of plain routing's picks that these picks lose. */
  readonly massLost: number;
}

/** Softmax of the logits of one token and layer, in float64. */
function softmax(logits: Float32Array): Float64Array {
  const greatest = logits.reduce((a, b) => (b > a ? b : a), Number.NEGATIVE_INFINITY);
  const mass = Float64Array.from(logits, (x) => (Number.isNaN(x) ? 0 : Math.exp(x - greatest)));
  const sum = mass.reduce((a, b) => a + b, 0);
  return mass.map((x) => x / sum);
}

/**
 * Replays a trace: for every token and layer the router chooses, then those experts are used, one by one.
 *
 * @throws LowbitError 'invalid-argument' if the slots do not hold the experts of one layer and token, or for a bonus
 *   with Belady's policy
 */
export function simulate(trace: RoutingTrace, options: SimulationOptions): Simulation {
  const { tokens, layers, experts, topK, logits } = trace;
  const { policy: name, slots, bonus = 0, bonusUnit, protect } = options;
  if (slots < topK) {
    throw new LowbitError(
      'invalid-argument',
      `A cache of ${slots} experts does not hold the ${topK} that one token uses in a layer.`,
    );
  }
  if (name === 'belady' && bonus > 0) {
    throw new LowbitError('invalid-argument', 'Belady’s policy needs to know the uses beforehand: no bonus.');
  }
  const plain = new Router({ experts, topK }).route({ logits }).ids;
  const affinity = new ExpertAffinity(layers, experts);
  const policy =
    name === 'belady'
      ? new Belady(Array.from(plain, (id, i) => (Math.floor(i / topK) % layers) * experts + id))
      : makePolicy(name, affinity, topK);
  const cache = new ResidentSet(slots, () => 1, policy);
  const routers = Array.from(
    { length: layers },
    () => new Router({ experts, topK, bonus, bonusUnit, protect }),
  );
  const residents = Array.from({ length: layers }, () => new Int32Array(experts));
  const ids = new Int32Array(topK);
  const weights = new Float32Array(topK);

  let misses = 0;
  let changed = 0;
  let lost = 0;
  for (let step = 0; step < tokens * layers; step++) {
    const layer = step % layers;
    const row = logits.subarray(step * experts, (step + 1) * experts);
    const usual = plain.subarray(step * topK, (step + 1) * topK);
    if (bonus > 0) routers[layer].routeInto({ logits: row, resident: residents[layer] }, 1, ids, weights);
    else ids.set(usual);
    affinity.update(layer, ids);
    const first = layer * experts;
    const isPinned = (key: number) => key >= first && key < first + experts && ids.includes(key - first);
    for (const id of ids) {
      cache.touch(first + id);
      if (cache.has(first + id)) continue;
      misses++;
      for (const key of cache.tryAdmit(first + id, isPinned)!)
        residents[Math.floor(key / experts)][key % experts] = 0;
      residents[layer][id] = 1;
    }
    const swapped = ids.filter((id) => !usual.includes(id));
    if (swapped.length === 0) continue;
    changed += swapped.length;
    const mass = softmax(row);
    for (const id of usual) lost += mass[id];
    for (const id of ids) lost -= mass[id];
  }
  const uses = tokens * layers * topK;
  return {
    uses,
    misses,
    hitRate: 1 - misses / uses,
    changed: changed / uses,
    massLost: lost / (tokens * layers),
  };
}
