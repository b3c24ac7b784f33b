/** Options that do nothing beside others: nobody should believe that they did. */
import type { LayerConfig } from '../config/config';
import type { Settings } from '../settings';
import type { QuantizationOptions } from './options';

type Name = keyof QuantizationOptions;

/** Of tensors between layers, which stay as they are where only weights are quantized. */
const ACTIVATION_OPTIONS: readonly Name[] = [
  'calibrationMethod',
  'percentile',
  'weightRange',
  'biasCorrection',
  'regions',
  'validationSamples',
];

/** Of calibration data. */
const DATA_OPTIONS: readonly Name[] = ['samples', 'calibrationMethod', 'percentile', 'biasCorrection'];

const hasLowBit = ({ bits = 8, weights = 'int8' }: LayerConfig) =>
  weights !== 'int8' || (typeof bits === 'number' && bits < 8);

/** Why an option does nothing, if so. */
function whyIdle(name: Name, settings: Settings): string | undefined {
  const { activations, calibrationMethod, tune, rules, weights, targetBits, accuracyTarget } = settings;
  if (activations === 'float32')
    return ACTIVATION_OPTIONS.includes(name) ? 'only weights are quantized' : undefined;
  if (!settings.data && DATA_OPTIONS.includes(name)) return 'there is no calibration data';
  switch (name) {
    case 'percentile': {
      const used = calibrationMethod === 'percentile' || tune?.open.includes('calibrationMethod');
      return used || rules.some(({ calibration }) => calibration === 'percentile')
        ? undefined
        : 'no range is chosen by the calibration method percentile';
    }
    case 'group':
    case 'rotate': {
      const lowBit = weights.format !== 'int8' || targetBits !== undefined || rules.some(hasLowBit);
      return lowBit ? undefined : 'all weights are INT8';
    }
    case 'timeBudget':
      return settings.recipe ? undefined : 'no recipe is searched for';
    case 'validationSamples':
      return accuracyTarget ? undefined : 'there is no accuracy target';
    default:
      return undefined;
  }
}

/** A sentence for each option that was set and does nothing. */
export function idleOptions(options: QuantizationOptions, settings: Settings): string[] {
  const given = (Object.keys(options) as Name[]).filter(
    // Regions are what is made by default.
    (name) => options[name] !== undefined && options[name] !== (name === 'regions'),
  );
  return given.flatMap((name) => {
    const why = whyIdle(name, settings);
    return why === undefined ? [] : [`The option ${name} does nothing: ${why}.`];
  });
}
