/** Which layers of a plan get low-bit weights, and what rotates their inputs. */
import type { Graph } from '../../../graph/ir';
import { foldRotations } from '../../../passes/fold-rotations';
import type { Change } from '../../../passes/pass';
import { rotationHelps } from '../../../passes/quantize/lower/encode-layer';
import { selectLowBit, weightedOps } from '../../../passes/quantize/plan/low-bit-layers';
import { planQuantization, type QuantizationPlan } from '../../../passes/quantize/plan/plan';
import type { FormatName } from '../../../quantization/formats/format';
import type { Rotation } from '../../../quantization/hadamard';
import { FORMAT_OF_BITS, type LayerWeights } from '../../../quantization/layer-weights';
import { type Settings, weightsOf } from '../../settings';
import type { WeightPlan } from '../../stage-results';
import { ROTATION_SEED } from './rotation-seed';

/** The format that decides on the rotations of a mix, whose widths are not known yet. */
const MIX_FORMAT = FORMAT_OF_BITS[3];

function select(graph: Graph, plan: QuantizationPlan, settings: Settings) {
  const mix = settings.targetBits !== undefined;
  const configured = (name: string) => {
    const weights = weightsOf(settings, name);
    return mix && !weights.byPattern ? { ...weights, format: MIX_FORMAT } : weights;
  };
  const { layers, kept } = selectLowBit(graph, plan, configured, { ends: mix });
  // A mix only fixes the average, so a layer that stays in INT8 contradicts nothing unless a pattern names it.
  const reported = mix ? [...kept].filter(([name]) => weightsOf(settings, name).byPattern) : kept;
  return { layers, kept: new Map(reported) };
}

/** Tables come before the first layer, and so stay in INT8 unless a pattern names them. */
function selectTables({ tables }: QuantizationPlan, settings: Settings) {
  const lowBit = new Map<string, LayerWeights>();
  const kept = new Map<string, string>();
  for (const name of tables.keys()) {
    const { byPattern, format, group, block } = weightsOf(settings, name);
    if (format === 'int8') continue;
    if (byPattern) lowBit.set(name, { format, group, block });
    else if (settings.targetBits === undefined) kept.set(name, 'it is a table before the first layer');
  }
  return { lowBit, kept };
}

/** Rotations of the inputs of layers: of low-bit ones where it helps, of INT8 ones where a pattern sets one. */
function wantedRotations(
  graph: Graph,
  plan: QuantizationPlan,
  layers: WeightPlan['layers'],
  settings: Settings,
): Map<string, Rotation> {
  const wanted = new Map<string, Rotation>();
  for (const op of weightedOps(graph, plan)) {
    const { name } = op.node;
    const { block, rotateByPattern } = weightsOf(settings, name);
    if (block === 0) continue;
    const rotation = { block, seed: ROTATION_SEED };
    const stored = layers.get(name)?.weights;
    const rotated = stored
      ? rotationHelps(op, { format: stored.format as FormatName, group: stored.group, rotation })
      : rotateByPattern;
    if (rotated) wanted.set(name, rotation);
  }
  return wanted;
}

/** Chooses the layers and their rotations, before anything is observed. */
export function planWeights(
  graph: Graph,
  plan: QuantizationPlan,
  settings: Settings,
): WeightPlan & { readonly changes: readonly Change[] } {
  const { layers, kept } = select(graph, plan, settings);
  const tables = selectTables(plan, settings);
  const wanted = wantedRotations(graph, plan, layers, settings);
  const against = new Set([...layers.keys()].filter((name) => !wanted.has(name)));
  const { folded, results, changes, ...rewritten } = foldRotations(graph, plan.shapes, wanted, against);
  const whole = folded.size === 0 ? plan : planQuantization(rewritten.graph, { float: plan.float });
  const computed = [...wanted].filter(([name]) => layers.has(name) && !folded.has(name));
  return {
    graph: rewritten.graph,
    plan: whole,
    layers: folded.size === 0 ? layers : select(rewritten.graph, whole, settings).layers,
    tables: tables.lowBit,
    kept: new Map([...kept, ...tables.kept]),
    rotations: new Map(computed),
    folded,
    rotatedResults: results,
    changes,
  };
}
