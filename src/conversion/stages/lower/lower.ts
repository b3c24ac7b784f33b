/** Stage 5: replaces what was decided on by quantized nodes, and reports what was done. */
import type { ConvertedModel, Decision } from '../../stage-results';
import { lowerInt8 } from './int8';
import { lowerWeightOnly } from './weight-only';

export function lower(decision: Decision): ConvertedModel {
  decision.settings.report('quantize', 0, 1);
  return decision.activations === 'int8' ? lowerInt8(decision) : lowerWeightOnly(decision);
}
