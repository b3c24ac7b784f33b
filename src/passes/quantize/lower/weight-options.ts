import type { FilterCodes } from '../../../quantization/affine';
import type { WeightRange } from '../../../quantization/weight-range';
import type { EncodedLayer } from './encode-layer';

export interface WeightOptions {
  /** How the bounds of weights are chosen. Default `max`. */
  readonly weightRange?: WeightRange;
  /** Quantized weights by node and input scale, kept for the next program of the same graph. */
  readonly filters?: Map<string, FilterCodes>;
  /** INT8 weights that were rounded with error feedback, by node. */
  readonly rounded?: ReadonlyMap<string, FilterCodes>;
  /** Layers with low-bit weights, by node. */
  readonly lowBit?: ReadonlyMap<string, EncodedLayer>;
}
