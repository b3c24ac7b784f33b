/** Stage 6: runs the float and the converted model on a few samples and warns where they are too far apart. */
import { type Fidelity, measureFidelity, type OutputFidelity } from '../../evaluation/fidelity';
import type { Graph } from '../../graph/ir';
import type { ConvertedModel, Decision } from '../stage-results';

/** Below this, in dB, people see the difference: the noise has a tenth of the signal's amplitude. */
const MIN_SIGNAL_TO_NOISE = 20;

/** The same for what depends on the input, which is estimated from few samples. */
const MIN_VARYING = 10;

const ADVICE = "Try the recipe 'balanced' or 'accurate', or more calibration data.";

const shown = (decibels: number) => `${decibels.toFixed(1)} dB`;

function warningOf({
  name,
  signalToNoise,
  varyingSignalToNoise,
  constant,
  parts = [],
  selectedFrom,
}: OutputFidelity) {
  if (selectedFrom) return undefined;
  if (constant)
    return `Output '${name}' does not depend on the input: it is the same for every sample, that of the float model is not. ${ADVICE}`;
  if (signalToNoise === undefined) return undefined;
  if (signalToNoise < MIN_SIGNAL_TO_NOISE)
    return `Output '${name}' is only ${shown(signalToNoise)} above its noise (20 dB or more are usual). ${ADVICE}`;
  const part = parts.find((each) => each.signalToNoise < MIN_SIGNAL_TO_NOISE);
  if (part)
    return `The part '${part.name}' of output '${name}' is only ${shown(part.signalToNoise)} above its noise. ${ADVICE}`;
  if (varyingSignalToNoise !== undefined && varyingSignalToNoise < MIN_VARYING)
    return (
      `Output '${name}' is ${shown(signalToNoise)} above its noise, but what depends on the input only ` +
      `${shown(varyingSignalToNoise)}: its mean hides the noise. ${ADVICE}`
    );
  return undefined;
}

export function fidelityWarnings({ outputs }: Fidelity): string[] {
  return outputs.flatMap((output) => warningOf(output) ?? []);
}

/**
 * @param source the float model as it was read
 * @returns the converted model with its fidelity, where there is data that is not random
 */
export async function check(
  converted: ConvertedModel,
  source: Graph,
  { settings, checkSamples }: Decision,
): Promise<ConvertedModel> {
  const { randomData, report, signal } = settings;
  if (randomData || !checkSamples || checkSamples.samples.length === 0) return converted;
  report('check', 0, 1);
  const fidelity = await measureFidelity({ float: source, lowbit: converted.graph }, checkSamples, signal);
  return { ...converted, fidelity, warnings: [...converted.warnings, ...fidelityWarnings(fidelity)] };
}
