/** Lowering of a model with float32 activations. */
import { countProducts, productsOf } from '../../../evaluation/products';
import { weightCount } from '../../../passes/linear-op';
import type { EncodedLayer } from '../../../passes/quantize/lower/encode-layer';
import { type Weighted, weightsOf } from '../../../passes/weight-only/find';
import { replaceWeighted, type WeightOnlyGraph } from '../../../passes/weight-only/replace';
import type { Config, LayerConfig } from '../../config/config';
import { FLOAT_BY_CONFIGURATION } from '../../float-reasons';
import { bitsOfLayer, bitsOfTable } from '../../layer-bits';
import type { MacCounts, NodeRecord, NodeRecords } from '../../report-types';
import { patternWarnings } from '../../settings';
import type { ConvertedModel, WeightOnlyDecision, WeightOnlyModel } from '../../stage-results';
import { withMetadata } from './metadata';
import { toTenths, toThousandths } from './rounded';

const SCHEME = 'weights only: activations float32; int8 weights per row, symmetric';

function bitsOf(weighted: Weighted, encoded: EncodedLayer | undefined): number {
  return weighted.kind === 'table'
    ? bitsOfTable(weighted.constant, encoded?.matrix)
    : bitsOfLayer(weighted.op, encoded?.matrix);
}

function recordsOf(
  { model, lowBit }: WeightOnlyDecision,
  { weightFidelity, storedBy }: WeightOnlyGraph,
): NodeRecords {
  const { graph, layers, float } = model;
  const opOf = (name: string) => graph.nodes.get(name)!.op;
  const quantized = [...layers].map(([name, { weighted, configured, reason, rotation }]): NodeRecord => {
    const encoded = lowBit.get(name);
    return {
      name,
      op: opOf(name),
      weightSignalToNoise: toTenths(weightFidelity.get(name)!),
      weights: encoded?.matrix.format ?? 'int8',
      bitsPerWeight: toThousandths(bitsOf(weighted, encoded)),
      ...(encoded && { group: configured.group }),
      ...(rotation && { rotation: 'computed' as const }),
      ...(reason && { weightsReason: reason }),
      ...(storedBy.has(name) && { storedBy: storedBy.get(name) }),
    };
  });
  return {
    quantized,
    float: [...float].map(([name, reason]): NodeRecord => ({ name, op: opOf(name), reason })),
  };
}

/** All that was decided, as a configuration: converting with it gives the same model. */
function effectiveConfig({ model, settings }: WeightOnlyDecision): Config {
  const layers = [...model.layers].flatMap(([match, { configured, reason, rotation }]): LayerConfig[] => {
    if (reason) return [];
    const rotate = rotation !== undefined && (configured.block as 64 | 128 | 256);
    const { format, group } = configured;
    return [{ match, weights: format, ...(format !== 'int8' && { group, rotate }) }];
  });
  const skipped = [...model.float].filter(([, reason]) => reason === FLOAT_BY_CONFIGURATION);
  return {
    version: 1,
    calibration: { samples: settings.samples },
    activations: 'float32',
    ...(settings.weights.format !== 'int8' && { weights: settings.weights.format }),
    ...(settings.errorFeedback && { errorFeedback: true }),
    layers: [...layers, ...skipped.map(([match]) => ({ match, bits: 'float' as const }))],
  };
}

/** All products are of float32 activations, with quantized weights or without. */
function macsOf({ graph, shapes, layers, float }: WeightOnlyModel): MacCounts {
  const total = productsOf(graph, shapes).reduce((sum, { macs }) => sum + macs, 0);
  const others = productsOf(graph, shapes).filter(({ name }) => !layers.has(name));
  const reasons = new Map(others.map(({ name }) => [name, float.get(name) ?? 'it has no weights']));
  return {
    total,
    int8: 0,
    int16: 0,
    percent: 0,
    integerPercent: 0,
    ...countProducts(graph, shapes, reasons),
  };
}

/** Stored bits of a weight on average over all quantized layers. */
function averageBits({ model, lowBit }: WeightOnlyDecision, { storedBy }: WeightOnlyGraph): number {
  let [stored, count] = [0, 0];
  for (const [name, { weighted }] of model.layers) {
    if (storedBy.has(name)) continue;
    const own = weightCount(weightsOf(weighted));
    stored += own * bitsOf(weighted, lowBit.get(name));
    count += own;
  }
  return stored / Math.max(count, 1);
}

export function lowerWeightOnly(decision: WeightOnlyDecision): ConvertedModel {
  const { settings, model, provenance, lowBit } = decision;
  const weighted = new Map([...model.layers].map(([name, layer]) => [name, layer.weighted]));
  const replaced = replaceWeighted(model.graph, weighted, lowBit);
  const records = recordsOf(decision, replaced);
  return {
    graph: withMetadata(replaced.graph, records, provenance, { scheme: SCHEME, precision: 'float32' }),
    ...records,
    regions: [...weighted.values()].filter(({ kind }) => kind === 'product').length,
    changes: model.changes,
    macs: macsOf(model),
    calibration: provenance,
    bitsPerWeight: averageBits(decision, replaced),
    config: effectiveConfig(decision),
    warnings: [...settings.idle, ...patternWarnings(settings, model.graph)],
  };
}
