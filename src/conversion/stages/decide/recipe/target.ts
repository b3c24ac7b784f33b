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

/** The model is chosen among many for the samples that it is judged on: on others it does worse, in dB. */
const MARGIN = 0.5;

/** The worst tenth is known of one or two samples only: more of the same. */
const WORST_MARGIN = 1.5;

/** A single choice that differs proves nothing. */
const ALWAYS_ALLOWED = 1;

function agrees({ choices }: OutputFigures, target: FidelityTarget): boolean {
  if (!choices) return true;
  const { differing, of } = choices;
  return differing <= Math.max(ALWAYS_ALLOWED, ((100 - target.agreement) / 100) * of);
}

/** By how many dB an output exceeds the target with confidence; negative where it falls short. */
export function excessOf({ whole, varying }: OutputFigures, target: FidelityTarget): number {
  const over = [whole, ...(varying ? [varying] : [])].flatMap(({ likelyMedian, worstTenth }) => [
    likelyMedian - target.median - MARGIN,
    worstTenth - target.worstTenth - WORST_MARGIN,
  ]);
  return Math.min(...over);
}

/** The same of the worst output. */
export function excess({ outputs }: Judgement, target: FidelityTarget): number {
  return Math.min(...outputs.map((output) => excessOf(output, target)));
}

export function reaches(judgement: Judgement, target: FidelityTarget): boolean {
  return excess(judgement, target) >= 0 && judgement.outputs.every((output) => agrees(output, target));
}

/** The output that is furthest from the target. */
export function worstOf({ outputs }: Judgement, target: FidelityTarget): OutputFigures | undefined {
  return outputs.toSorted((a, b) => excessOf(a, target) - excessOf(b, target))[0];
}
