/** What a converted model has to reach, and how far from it one is. */
import type { Judgement, OutputFigures } from '../../../../evaluation/judge';

export interface FidelityTarget {
  /** Signal-to-noise of the median sample at every output and part, in dB; also with the mean over samples removed. */
  readonly median: number;
  /** The same for a tenth of the samples, the worst ones. */
  readonly worstTenth: number;
  /** Percent of classes, and of whole numbers, that are those of the float model. */
  readonly agreement: number;
}

export const TARGETS: Readonly<Record<'balanced' | 'accurate', FidelityTarget>> = {
  balanced: { median: 25, worstTenth: 15, agreement: 97 },
  accurate: { median: 35, worstTenth: 25, agreement: 99 },
};

/** How far a figure has to be above the target, in dB. */
interface Margins {
  readonly of: 'median' | 'likelyMedian';
  readonly median: number;
  readonly worstTenth: number;
}

/**
 * On the samples that a model is searched for: on others it does worse. The worst tenth is known of one or two of them
 * only.
 */
const SEARCHED: Margins = { of: 'likelyMedian', median: 0.5, worstTenth: 1.5 };

/** On samples that the search has not seen. */
export const UNSEEN: Margins = { of: 'median', median: 0, worstTenth: 0 };

/** A single choice that differs proves nothing. */
const ALWAYS_ALLOWED = 1;

function agrees({ choices }: OutputFigures, target: FidelityTarget): boolean {
  if (!choices) return true;
  const { differing, of } = choices;
  return differing <= Math.max(ALWAYS_ALLOWED, ((100 - target.agreement) / 100) * of);
}

/** By how many dB an output exceeds the target; negative where it falls short. */
export function excessOf(
  { whole, varying }: OutputFigures,
  target: FidelityTarget,
  margins = SEARCHED,
): number {
  const over = [whole, ...(varying ? [varying] : [])].flatMap((spread) => [
    spread[margins.of] - target.median - margins.median,
    spread.worstTenth - target.worstTenth - margins.worstTenth,
  ]);
  return Math.min(...over);
}

/** The same of the worst output. */
export function excess({ outputs }: Judgement, target: FidelityTarget, margins = SEARCHED): number {
  return Math.min(...outputs.map((output) => excessOf(output, target, margins)));
}

export function reaches(judgement: Judgement, target: FidelityTarget, margins = SEARCHED): boolean {
  return (
    excess(judgement, target, margins) >= 0 && judgement.outputs.every((output) => agrees(output, target))
  );
}

/** The output that is furthest from the target. */
export function worstOf({ outputs }: Judgement, target: FidelityTarget): OutputFigures | undefined {
  return outputs.toSorted((a, b) => excessOf(a, target) - excessOf(b, target))[0];
}
