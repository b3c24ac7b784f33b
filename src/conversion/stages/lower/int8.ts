/** Lowering of a model with INT8 activations. */
import { observedTensors } from '../../../passes/quantize/plan/observed-tensors';
import { quantizeGraph } from '../../../passes/quantize/quantize-graph';
import { patternWarnings, weightsOf } from '../../settings';
import type { ConvertedModel, Int8Decision } from '../../stage-results';
import { effectiveConfig } from './effective-config';
import { averageBits, macsOf } from './figures';
import { withMetadata } from './metadata';
import { nodeRecords } from './node-records';
import { requestWarnings } from './request-warnings';

const SCHEME = 'int8: activations per tensor, affine; weights per output channel, symmetric';

/** Layers that a pattern names and that cannot be stored as it configures. */
function weightWarnings({ model, settings }: Int8Decision): string[] {
  return [...model.kept].flatMap(([name, reason]) =>
    weightsOf(settings, name).byPattern ? [`The weights of '${name}' stay in INT8: ${reason}.`] : [],
  );
}

function calibrationWarnings({ settings, provenance, checkSamples }: Int8Decision): string[] {
  const { samples, samplesRequested, randomData } = settings;
  const found = provenance.samples + (checkSamples.heldOut ?? 0);
  const warnings: string[] = [];
  if (!settings.data) {
    warnings.push(
      'Without calibration data, scales are computed when the model runs. Representative data (calibration) makes most models faster, and shows how accurate they are.',
    );
  }
  if (randomData) {
    warnings.push(
      'Calibrated on random data: the ranges are guesses. Convert again with data that the model will see.',
    );
  }
  if (settings.data && samplesRequested && found < samples) {
    warnings.push(`The calibration data has ${found} samples, fewer than the ${samples} requested.`);
  }
  return warnings;
}

function recipeWarnings({ recipe }: Int8Decision): string[] {
  if (!recipe) return [];
  const { target, met, late, steps } = recipe;
  const { worst, signalToNoise, confirmed } = steps.find(({ chosen }) => chosen)!;
  if (met && confirmed !== false) return [];
  if (met)
    return [
      `The accuracy target of ${target.median} dB is reached on the samples that were held out, but not on others. More calibration data may help.`,
    ];
  const reached = worst === undefined ? '' : `: output '${worst}' is at ${signalToNoise!.toFixed(1)} dB`;
  const advice = late
    ? 'The time budget ran out: give more (timeBudget), or fewer samples.'
    : 'More or better calibration data may help.';
  return [`The accuracy target of ${target.median} dB is not reached${reached}. ${advice}`];
}

export function lowerInt8(decision: Int8Decision): ConvertedModel {
  const { settings, model, observations, provenance, weights, plan, ...decided } = decision;
  const { accuracy, allocation, tuning, recipe } = decided;
  const quantized = quantizeGraph(model.graph, plan, observations, weights);
  // The programs hold these weights now.
  weights.filters?.clear();
  const records = nodeRecords(decision, quantized);
  return {
    graph: withMetadata(quantized.graph, records, provenance, {
      scheme: SCHEME,
      precision: 'int8',
      equalized: settings.equalize,
    }),
    ...records,
    regions: plan.regions.length,
    changes: model.changes,
    macs: macsOf(model.graph, plan),
    calibration: provenance,
    ...(accuracy && { accuracy }),
    bitsPerWeight: averageBits(decision, quantized),
    ...(allocation && { allocation }),
    ...(tuning && { tuning }),
    ...(recipe && { recipe }),
    config: effectiveConfig(
      decision,
      observedTensors(plan).map(({ ref }) => ref.node),
    ),
    warnings: [
      ...settings.idle,
      ...patternWarnings(settings, model.graph),
      ...requestWarnings(decision),
      ...weightWarnings(decision),
      ...calibrationWarnings(decision),
      ...recipeWarnings(decision),
    ],
  };
}
