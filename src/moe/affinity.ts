import { checkArgument } from '../base/errors';

/** Weights are rescaled before they leave the range that float64 has digits for. */
const MAX_GROWTH = 1e100;

/**
 * How likely each expert is to be used, from what was used: an exponential moving average per layer and expert.
 *
 * With s = 1 where a token used the expert and 0 where not, a_t = decay * a_(t-1) + (1 - decay) * s_t. Without use it
 * falls from token to token; a value is the share of recent tokens that used the expert.
 *
 * Instead of all averages shrinking with each token, the weight of a new use grows by 1 / decay.
 */
export class ExpertAffinity {
  private readonly single: Float64Array;
  /** decay^-t of each layer's number of tokens. */
  private readonly growth: Float64Array;

  /** @throws LowbitError 'invalid-argument' for a decay that is not in (0, 1) */
  constructor(
    readonly layers: number,
    readonly experts: number,
    readonly decay = 0.99,
  ) {
    checkArgument(decay > 0 && decay < 1, 'decay', 'a number between 0 and 1', decay);
    this.single = new Float64Array(layers * experts);
    this.growth = new Float64Array(layers).fill(1);
  }

  /** A token of the layer used these experts. */
  update(layer: number, ids: ArrayLike<number>): void {
    const { experts, decay } = this;
    this.growth[layer] /= decay;
    const weight = (1 - decay) * this.growth[layer];
    for (let i = 0; i < ids.length; i++) this.single[layer * experts + ids[i]] += weight;
    if (this.growth[layer] > MAX_GROWTH) this.rescale(layer);
  }

  /** Share of recent tokens that used the expert, in [0, 1]. */
  of(layer: number, expert: number): number {
    return this.single[layer * this.experts + expert] / this.growth[layer];
  }

  /** The layer's experts by falling affinity, equal ones by number. */
  ranked(layer: number): number[] {
    const order = Array.from({ length: this.experts }, (_, expert) => expert);
    return order.sort((a, b) => this.of(layer, b) - this.of(layer, a) || a - b);
  }

  private rescale(layer: number): void {
    const { experts } = this;
    const factor = 1 / this.growth[layer];
    const first = layer * experts;
    for (let i = first; i < first + experts; i++) this.single[i] *= factor;
    this.growth[layer] = 1;
  }
}
