/** All that was decided, layer by layer, as a configuration: converting with it gives the same model. */
import type { ROTATION_BLOCKS } from '../../../quantization/hadamard';
import type { Config, LayerConfig } from '../../config/config';
import { FLOAT_BY_CONFIGURATION, FLOAT_FOR_ACCURACY } from '../../float-reasons';
import { calibrationMethods, weightsOf } from '../../settings';
import type { Int8Decision } from '../../stage-results';

function weightsOfLayer({ model, settings }: Int8Decision, name: string): Partial<LayerConfig> {
  const { layers, kept, rotations, folded } = model;
  const configured = weightsOf(settings, name);
  if (kept.has(name)) return configured.byPattern ? { weights: configured.format } : {};
  const rotated = rotations.has(name) || folded.has(name);
  const rotate = rotated && (configured.block as (typeof ROTATION_BLOCKS)[number]);
  const layer = layers.get(name);
  if (layer) return { weights: layer.weights.format, group: layer.weights.group, rotate };
  return { bits: 8 as const, ...(rotated && { rotate }) };
}

function weightsOfTable({ model, settings }: Int8Decision, name: string): Partial<LayerConfig> {
  const table = model.tables.get(name);
  if (table) return { weights: table.format, group: table.group };
  return settings.weights.format === 'int8' ? { bits: 8 } : {};
}

/** @param observed nodes whose results have a range */
export function effectiveConfig(decision: Int8Decision, observed: readonly string[]): Config {
  const { settings, plan, precisions } = decision;
  const methodOf = calibrationMethods(settings, plan);
  const ranged = new Set(observed);
  const range = (node: string) => (ranged.has(node) ? { calibration: methodOf(node) } : {});
  const quantized = plan.regions.flatMap(({ nodes }) => nodes.map(({ name }) => name));
  const float = [...plan.float]
    .filter(([, reason]) => reason === FLOAT_BY_CONFIGURATION || reason === FLOAT_FOR_ACCURACY)
    .map(([name]) => name);
  const inputs = observed.filter((name) => !quantized.includes(name) && !float.includes(name));
  const { calibrationMethod: method, percentile, samples } = settings;
  const { equalize, weightRange, biasCorrection, regions, weights, errorFeedback } = settings;
  return {
    version: 1,
    recipe: 'fast',
    calibration: { method, percentile, samples, ...(settings.heldOut && { holdOut: true }) },
    equalize,
    weightRange,
    biasCorrection,
    regions,
    ...(weights.format !== 'int8' && { weights: weights.format }),
    ...(errorFeedback && { errorFeedback: true }),
    layers: [
      ...inputs.map((match) => ({ match, ...range(match) })),
      ...quantized.map((match) => ({
        match,
        ...weightsOfLayer(decision, match),
        ...(precisions.has(match) && { activations: precisions.get(match) }),
        ...range(match),
      })),
      ...[...plan.tables.keys()].map((match) => ({ match, ...weightsOfTable(decision, match) })),
      ...float.map((match) => ({ match, bits: 'float' as const, ...range(match) })),
    ],
  };
}
