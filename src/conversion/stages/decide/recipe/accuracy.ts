/** The strategies `tune` and accuracy targets: the same search, with figures over all validation data for a goal. */
import { LowbitError } from '../../../../base/errors';
import type { AccuracyFigures } from '../../../../evaluation/validation';
import type { AccuracyReport, Tuning } from '../../../report-types';
import type { AccuracyTarget, Settings } from '../../../settings';
import type { Int8Decision, ObservedInt8, Prepare } from '../../../stage-results';
import { decideInt8 } from '../int8';
import { AccuracyGoal } from './accuracy-goal';
import { Climb, type Trial } from './climb';
import { refine } from './refine';

/** Samples that the trials of tuning are measured on at most. */
const MAX_TUNING_SAMPLES = 64;

function describeFigures({ top1Drop, signalToNoise }: AccuracyFigures): string {
  const drop = top1Drop === undefined ? '' : `${top1Drop.toFixed(2)} points of top-1 lost, `;
  return `${drop}${signalToNoise.toFixed(1)} dB`;
}

function describeTarget({ maxDrop, minSignalToNoise }: AccuracyTarget): string {
  return [
    ...(maxDrop === undefined ? [] : [`at most ${maxDrop} points of top-1 lost`]),
    ...(minSignalToNoise === undefined ? [] : [`at least ${minSignalToNoise} dB`]),
  ].join(' and ');
}

function tuningOf({ trials, kept }: Climb, samples: number): Tuning {
  const tried = trials.filter(({ alternative }, i) => i === 0 || alternative);
  return {
    samples,
    trials: tried.map((trial) => ({
      options: trial.alternative ?? {},
      signalToNoise: trial.figures!.signalToNoise,
      kept: kept.some(({ step }) => step === trial.step),
    })),
  };
}

function accuracyOf({ layers, best, trials }: Climb, quantized: Trial, samples: number): AccuracyReport {
  const kept = layers.flatMap(({ name, op, signalToNoise }) => {
    const precision = best.added.get(name);
    return precision ? [{ name, op, signalToNoise, precision }] : [];
  });
  return { samples, quantized: quantized.figures!, converted: best.figures!, kept, trials: trials.length };
}

/** Gives layers of higher precision to the best model so far until it meets the target. */
async function meet(climb: Climb, target: AccuracyTarget): Promise<void> {
  const quantized = climb.best;
  await refine(climb);
  if (climb.best.met) return;
  throw new LowbitError(
    'accuracy',
    `No choice of layers to leave in float meets the target, ${describeTarget(target)}, with anything in INT8 left; ` +
      `with all of them in INT8: ${describeFigures(quantized.figures!)}. The costliest layer is '${climb.layers[0].name}'. ` +
      'Give more or better calibration data, another calibration method, or a lower target.',
  );
}

/**
 * Finds the settings that suit the model, where it is to be tuned, and the layers that need higher precision.
 *
 * @param observed the model under the settings as they are
 * @param prepare observes it under others
 * @throws LowbitError 'accuracy' with the figures, if nothing that leaves a layer in INT8 meets the target;
 *   'invalid-argument' for data without the labels that the target needs; 'cancelled' on abort
 */
export async function reachAccuracy(
  observed: ObservedInt8,
  settings: Settings,
  prepare: Prepare,
): Promise<Int8Decision> {
  const { accuracyTarget: target, tune, validation, validationSamples, signal } = settings;
  const count = target ? validationSamples : Math.min(validationSamples, MAX_TUNING_SAMPLES);
  const options = { source: validation!, samples: count, target, signal };
  const goal = await AccuracyGoal.of(observed.model.source, options);
  const climb = new Climb(goal, tune?.open ?? [], settings, prepare);
  climb.keep(await climb.try('static', await decideInt8(observed, settings)));
  if (tune) await climb.free(observed, true);
  const quantized = climb.best;
  if (target && !quantized.met) await meet(climb, target);
  return {
    ...climb.best.decision,
    ...(tune && { tuning: tuningOf(climb, goal.samples) }),
    ...(target && { accuracy: accuracyOf(climb, quantized, goal.samples) }),
  };
}
