/** Options of conversions that read files: see settle.ts. */
import { dirname, resolve } from 'node:path';
import { checkArgument, LowbitError } from '../../base/errors';
import { toPath } from '../../graph/model-files';
import type { Destination, ExpertPacking, Settings } from '../settings';
import { checkConversion, checkExperts } from './check-conversion';
import type { ConvertOptions, DryRunOptions, ExpertPackOptions } from './options';
import { settle } from './settle';

function settleExperts(options: ExpertPackOptions = {}): ExpertPacking {
  checkExperts(options);
  const { formats = [{ format: 'int8' }], budget = 'auto' } = options;
  const requested = options.formats !== undefined || options.budget !== undefined;
  return { formats, budget, requested };
}

/** Resolves the options of a model in files. */
export function settleConversion(options: ConvertOptions): {
  readonly input: string;
  readonly destination: Destination;
  readonly settings: Settings;
} {
  checkConversion(options);
  const { input, output, overwrite = false } = options;
  if (resolve(output) === dirname(toPath(input))) {
    throw new LowbitError(
      'invalid-argument',
      `The output folder ${output} is the folder of the input model; choose another.`,
    );
  }
  const experts = settleExperts(options.experts);
  return {
    input,
    destination: { folder: output, overwrite, experts },
    settings: settle(options, options.calibration),
  };
}

/** The same for a conversion that writes nothing. */
export function settleDryRun(options: DryRunOptions): {
  readonly input: string;
  readonly experts: ExpertPacking;
  readonly settings: Settings;
} {
  const settings = settle(options, options.calibration);
  const { activations, tune } = settings;
  checkArgument(
    activations === 'int8',
    'activations',
    'int8, as a dry run measures layers in INT8,',
    activations,
  );
  checkArgument(!tune, 'tune', 'false, as a dry run measures one configuration,', options.tune);
  return { input: options.input, experts: settleExperts(options.experts), settings };
}
