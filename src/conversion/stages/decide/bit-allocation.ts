/**
 * Mixed widths: which layers get 8, 4, 3 and 2 bits, so that weights have a given number of bits on average and the
 * noise of the outputs is least.
 *
 * Each layer is measured alone at each width; noises of layers are assumed to add up. Along the lower convex hull of a
 * layer's noise over its bits, steps to fewer bits are taken in the order of the noise that they cost a bit, which is
 * the optimum for every budget that they lead to; what is left of the budget then goes to whatever steps back fit.
 *
 * @see Shoham and Gersho 1988, "Efficient bit allocation for an arbitrary set of quantizers"
 */
import { LowbitError } from '../../../base/errors';
import type { BitAllocation, LayerWidths, WidthOption } from '../../report-types';

/** Weights whose width is fixed, with all that they store. */
export interface FixedWeights {
  readonly weights: number;
  readonly storedBits: number;
}

function noise({ signalToNoise }: WidthOption): number {
  return 10 ** (-signalToNoise / 10);
}

/** Options on the lower convex hull of noise over bits, widest first. */
function hull(options: readonly WidthOption[]): WidthOption[] {
  const slope = (a: WidthOption, b: WidthOption) =>
    (noise(b) - noise(a)) / (a.bitsPerWeight - b.bitsPerWeight);
  const kept: WidthOption[] = [];
  for (const option of options) {
    // Drop a wider option that is no better, and one above the line between its neighbours.
    while (kept.length > 0 && noise(kept.at(-1)!) >= noise(option)) kept.pop();
    while (kept.length > 1 && slope(kept.at(-2)!, kept.at(-1)!) >= slope(kept.at(-1)!, option)) kept.pop();
    kept.push(option);
  }
  return kept;
}

class Choice {
  at = 0;
  readonly steps: readonly WidthOption[];

  constructor(readonly layer: LayerWidths) {
    this.steps = hull(layer.options);
  }

  get option(): WidthOption {
    return this.steps[this.at];
  }

  get storedBits(): number {
    return this.layer.weights * this.option.bitsPerWeight;
  }

  /** What going to another step stores more and costs in noise. */
  change(to: number): { storedBits: number; noise: number } | undefined {
    const option = this.steps[to];
    return (
      option && {
        storedBits: this.layer.weights * (option.bitsPerWeight - this.option.bitsPerWeight),
        noise: noise(option) - noise(this.option),
      }
    );
  }
}

/** The change that is best by a measure; undefined if there is none. */
function best(
  choices: readonly Choice[],
  step: 1 | -1,
  worth: (change: { storedBits: number; noise: number }) => number | undefined,
): Choice | undefined {
  let chosen: Choice | undefined;
  let most = Number.NEGATIVE_INFINITY;
  for (const choice of choices) {
    const change = choice.change(choice.at + step);
    const value = change && worth(change);
    if (value === undefined || value <= most) continue;
    most = value;
    chosen = choice;
  }
  return chosen;
}

/**
 * @param targetBits bits of a weight on average at most, scales counted
 * @throws LowbitError 'invalid-argument' with the average of the narrowest widths, if that is more
 */
export function allocateBits(
  layers: readonly LayerWidths[],
  fixed: FixedWeights,
  targetBits: number,
): BitAllocation {
  const choices = layers.map((layer) => new Choice(layer));
  const weights = choices.reduce((sum, { layer }) => sum + layer.weights, fixed.weights);
  const stored = () => choices.reduce((sum, { storedBits }) => sum + storedBits, fixed.storedBits);
  const budget = targetBits * weights;
  while (stored() > budget) {
    const narrowed = best(choices, 1, (change) => change.noise / change.storedBits);
    if (!narrowed) {
      throw new LowbitError(
        'invalid-argument',
        `The weights cannot have ${targetBits} bits on average: with every layer as narrow as it can be they have ` +
          `${(stored() / weights).toFixed(2)}. Give at least that, or larger groups.`,
      );
    }
    narrowed.at++;
  }
  for (;;) {
    const room = budget - stored();
    const widened = best(choices, -1, (change) => (change.storedBits <= room ? -change.noise : undefined));
    if (!widened) break;
    widened.at--;
  }
  return {
    targetBits,
    bitsPerWeight: stored() / weights,
    layers: choices.map(({ layer, option }) => ({ ...layer, chosen: option.bits })),
  };
}
