/**
 * Experts in several precisions: often used ones in the best, seldom used ones in a smaller one.
 *
 * Each tier is a cache with its own budget. Experts are ranked by affinity and fill the tiers from the best on.
 * Hysteresis keeps an expert in its tier unless it falls behind by a margin, so that experts with similar affinity do
 * not swap all the time.
 */
import { checkArgument } from '../base/errors';
import type { ExpertAffinity } from './affinity';
import type { ExpertCache } from './store/expert-cache';

export interface TierPlanOptions {
  /** Experts that each tier holds in memory, the best tier first; the last takes all that are left. */
  readonly slots: readonly number[];
  /** The tier of each expert now, by key. */
  readonly current: Uint8Array;
  /** Relative increase of an expert's affinity for each tier that it is above the last. */
  readonly hysteresis: number;
}

/** The tier of each expert, by key: layer * experts + id. */
export function planTiers(
  affinity: ExpertAffinity,
  { slots, current, hysteresis }: TierPlanOptions,
): Uint8Array {
  const { layers, experts } = affinity;
  const last = slots.length - 1;
  const worth = Float64Array.from({ length: layers * experts }, (_, key) => {
    const own = affinity.of(Math.floor(key / experts), key % experts);
    return own * (1 + hysteresis * (last - current[key]));
  });
  const ranked = Array.from(worth.keys()).sort((a, b) => worth[b] - worth[a] || a - b);
  const plan = new Uint8Array(layers * experts).fill(last);
  let next = 0;
  for (let tier = 0; tier < last; tier++) {
    for (let i = 0; i < slots[tier] && next < ranked.length; i++) plan[ranked[next++]] = tier;
  }
  return plan;
}

const REPLAN_TOKENS = 256;
const DEFAULT_HYSTERESIS = 0.25;

/** Which of several caches an expert is used from. */
export class ExpertTiers {
  private plan: Uint8Array;
  private tokens = 0;
  private readonly masks: readonly Int32Array[];

  /** @param caches of one source and affinity, the best precision first */
  constructor(
    readonly caches: readonly ExpertCache[],
    private readonly affinity: ExpertAffinity,
    private readonly hysteresis = DEFAULT_HYSTERESIS,
  ) {
    checkArgument(hysteresis >= 0, 'hysteresis', 'a number of at least 0', hysteresis);
    const { layers, experts } = affinity;
    this.plan = new Uint8Array(layers * experts).fill(caches.length - 1);
    this.masks =
      caches.length === 1 ? caches[0].resident : caches[0].resident.map(() => new Int32Array(experts));
  }

  /** The cache that an expert belongs to now. */
  of(layer: number, expert: number): ExpertCache {
    return this.caches[this.plan[layer * this.affinity.experts + expert]];
  }

  /** A cache of a smaller precision that has the expert in memory. */
  lower(layer: number, expert: number): ExpertCache | undefined {
    const tier = this.plan[layer * this.affinity.experts + expert];
    return this.caches.find((cache, i) => i > tier && cache.resident[layer][expert] !== 0);
  }

  /** [experts]: 1 where the expert is in memory in the precision it belongs to. */
  resident(layer: number): Int32Array {
    const mask = this.masks[layer];
    if (this.caches.length === 1) return mask;
    for (let expert = 0; expert < mask.length; expert++)
      mask[expert] = this.of(layer, expert).resident[layer][expert];
    return mask;
  }

  /** Plans again every `REPLAN_TOKENS` tokens. */
  tokensPassed(count: number): void {
    if (this.caches.length === 1) return;
    this.tokens += count;
    if (this.tokens < REPLAN_TOKENS) return;
    this.tokens = 0;
    const slots = this.caches.map(({ slotCount }) => slotCount);
    this.plan = planTiers(this.affinity, { slots, current: this.plan, hysteresis: this.hysteresis });
  }
}
