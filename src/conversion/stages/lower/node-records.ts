/** Where every node of a model with INT8 activations runs, and how its weights are stored. */
import { weightedOps } from '../../../passes/quantize/plan/low-bit-layers';
import type { QuantizedGraph } from '../../../passes/quantize/quantize-graph';
import { bitsOfLayer, bitsOfTable } from '../../layer-bits';
import type { NodeRecord, NodeRecords, WeightRecord } from '../../report-types';
import type { Int8Decision } from '../../stage-results';
import { toTenths, toThousandths } from './rounded';

type Decided = Pick<Int8Decision, 'model' | 'plan' | 'weights'>;

function weightRecords({ model, plan, weights }: Decided): Map<string, WeightRecord> {
  const { graph, layers, kept, rotations, folded } = model;
  const records = weightedOps(graph, plan).map((op): [string, WeightRecord] => {
    const { name } = op.node;
    const layer = weights.lowBit.get(name);
    const reason = kept.get(name);
    const rotation = rotations.has(name) ? 'computed' : folded.has(name) ? 'folded' : undefined;
    return [
      name,
      {
        weights: layer?.matrix.format ?? 'int8',
        bitsPerWeight: toThousandths(bitsOfLayer(op, layer?.matrix)),
        ...(layer && { group: layers.get(name)!.weights.group }),
        ...(rotation && { rotation }),
        ...(reason && { weightsReason: reason }),
      },
    ];
  });
  return new Map(records);
}

function tableRecords(
  { model, plan, weights }: Decided,
  { weightFidelity, storedBy }: QuantizedGraph,
): NodeRecord[] {
  return [...plan.tables].map(([name, { node, constant }]): NodeRecord => {
    const matrix = weights.lowBit.get(name)?.matrix;
    const reason = model.kept.get(name);
    const stored = storedBy.get(name);
    return {
      name,
      op: node.op,
      weightSignalToNoise: toTenths(weightFidelity.get(name)!),
      weights: matrix?.format ?? 'int8',
      bitsPerWeight: toThousandths(bitsOfTable(constant, matrix)),
      ...(matrix && { group: matrix.group }),
      ...(reason && { weightsReason: reason }),
      ...(stored !== undefined && { storedBy: stored }),
    };
  });
}

/** Splits the nodes of the optimized graph by where they run; constants and placeholders run nowhere. */
export function nodeRecords(decided: Decided, lowered: QuantizedGraph): NodeRecords {
  const { model, plan } = decided;
  const { graph, rotatedResults } = model;
  const weights = weightRecords(decided);
  const quantized = plan.regions.flatMap((region) => {
    const results = new Map(
      region.steps.flatMap((step) => (step.kind === 'op' ? [[step.node.name, step.store.result.node]] : [])),
    );
    return region.nodes.map(({ name, op }): NodeRecord => {
      const decibels = lowered.weightFidelity.get(name);
      const output = results.get(name);
      return {
        name,
        op,
        ...(output !== undefined && output !== name && { output }),
        ...(decibels !== undefined && { weightSignalToNoise: toTenths(decibels) }),
        ...weights.get(name),
        ...(rotatedResults.has(name) && { rotatedResult: rotatedResults.get(name) }),
        ...(plan.precisions.has(name) && { activationPrecision: plan.precisions.get(name) }),
      };
    });
  });
  const float = [...plan.float].map(
    ([name, reason]): NodeRecord => ({ name, op: graph.nodes.get(name)!.op, reason }),
  );
  return { quantized: [...quantized, ...tableRecords(decided, lowered)], float };
}
