/** Figures of a quantized model. */
import { countProducts } from '../../../evaluation/products';
import { countMacs } from '../../../graph/count-macs';
import type { Graph } from '../../../graph/ir';
import { weightCount } from '../../../passes/linear-op';
import { weightedOps } from '../../../passes/quantize/plan/low-bit-layers';
import type { QuantizationPlan } from '../../../passes/quantize/plan/plan';
import type { QuantizedGraph } from '../../../passes/quantize/quantize-graph';
import { bitsOfInt16Layer, bitsOfLayer, bitsOfTable } from '../../layer-bits';
import type { MacCounts } from '../../report-types';
import type { Int8Decision } from '../../stage-results';

export function macsOf(graph: Graph, plan: QuantizationPlan): MacCounts {
  const sum = (nodes: Iterable<Parameters<typeof countMacs>[2]>) =>
    [...nodes].reduce((total, node) => total + countMacs(graph, plan.shapes, node), 0);
  const total = sum(graph.nodes.values());
  const int16Nodes = [...plan.precisions].filter(([, precision]) => precision === 'int16');
  const int16 = sum(int16Nodes.map(([name]) => graph.nodes.get(name)!));
  const int8 = sum(plan.regions.flatMap((r) => r.nodes)) - int16;
  const percent = (part: number) => (total === 0 ? 0 : (100 * part) / total);
  return {
    total,
    int8,
    int16,
    percent: percent(int8),
    integerPercent: percent(int8 + int16),
    ...countProducts(graph, plan.shapes, plan.float),
  };
}

/**
 * Stored bits of a weight on average over all weighted layers and tables, whatever they do with activations; each is
 * counted where it is stored.
 */
export function averageBits(
  { model, plan, weights }: Pick<Int8Decision, 'model' | 'plan' | 'weights'>,
  { offsetInt8, storedBy }: Pick<QuantizedGraph, 'offsetInt8' | 'storedBy'>,
): number {
  let [stored, count] = [0, 0];
  for (const op of weightedOps(model.graph, model.plan)) {
    const { name } = op.node;
    if (plan.float.has(name)) continue;
    const own = weightCount(op.filter);
    const bits =
      plan.precisions.get(name) === 'int16'
        ? bitsOfInt16Layer(op, offsetInt8.has(name))
        : bitsOfLayer(op, weights.lowBit.get(name)?.matrix);
    stored += own * bits;
    count += own;
  }
  for (const [name, { constant }] of plan.tables) {
    if (storedBy.has(name)) continue;
    const own = weightCount(constant);
    stored += own * bitsOfTable(constant, weights.lowBit.get(name)?.matrix);
    count += own;
  }
  return stored / Math.max(count, 1);
}
