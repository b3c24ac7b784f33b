/** Stage 2: rewrites the float graph and plans everything that can be quantized. */
import type { Graph } from '../../../graph/ir';
import { optimize as rewrite } from '../../../passes/pipeline';
import type { Settings } from '../../settings';
import type { OptimizedModel } from '../../stage-results';
import { withMeasuredShapes } from './measured-shapes';
import { planInt8 } from './plan-int8';
import { planWeightOnly } from './plan-weight-only';

/** @throws LowbitError 'invalid-model' if nothing in the model can be quantized; 'cancelled' on abort */
export async function optimize(source: Graph, settings: Settings): Promise<OptimizedModel> {
  settings.report('optimize', 0, 1);
  const rewritten = rewrite(await withMeasuredShapes(source, settings));
  return settings.activations === 'float32'
    ? planWeightOnly(rewritten, settings)
    : planInt8(source, rewritten, settings);
}
