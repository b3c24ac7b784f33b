/** Checks of options of conversions that read files. */
import { checkArgument } from '../../base/errors';
import { checkBudget } from '../../moe/memory-budget';
import { WEIGHT_FORMATS } from '../../quantization/layer-weights';
import type { ConvertOptions, ExpertPackOptions } from './options';

export function checkConversion({ input, output }: ConvertOptions): void {
  checkArgument(typeof input === 'string' && input !== '', 'input', 'the path of a model.json', input);
  checkArgument(typeof output === 'string' && output !== '', 'output', 'the path of a folder', output);
}

export function checkExperts({ formats, budget }: ExpertPackOptions): void {
  checkArgument(formats === undefined || formats.length > 0, 'experts.formats', 'one or more', 0);
  for (const { format } of formats ?? []) {
    checkArgument(WEIGHT_FORMATS.includes(format), 'experts.formats', WEIGHT_FORMATS.join(', '), format);
  }
  if (budget !== undefined) checkBudget(budget);
}
