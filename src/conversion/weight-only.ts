/** Conversion of weights alone: what is between layers stays float32. */
import { createHash } from 'node:crypto';
import { yieldToCancel } from '../base/cancelled';
import { LowbitError } from '../base/errors';
import { measureHessians } from '../calibration/hessians';
import { type CalibrationProvenance, calibrate } from '../calibration/runner';
import { countMacs } from '../graph/count-macs';
import { inferShapes, type Shapes } from '../graph/infer-shapes';
import type { Graph } from '../graph/ir';
import { mixturesOf } from '../graph/mixture';
import type { SampleSource } from '../graph/samples';
import { weightCount, weightsPerChannel } from '../passes/linear-op';
import { optimize } from '../passes/pipeline';
import type { EncodedLayer } from '../passes/quantize/lower/encode-layer';
import {
  encodeLayer,
  type LayerFormat,
  rotationHelps,
  statisticsOf,
} from '../passes/quantize/lower/encode-layer';
import { nodesInControlFlow } from '../passes/quantize/plan/control-flow';
import { endsOf } from '../passes/quantize/plan/low-bit-layers';
import { findWeighted, type Weighted, weightsOf } from '../passes/weight-only/find';
import { replaceWeighted, rowsOf } from '../passes/weight-only/replace';
import { decodeMatrix } from '../quantization/formats/decode';
import { encodeMatrix } from '../quantization/formats/encode';
import type { FormatName } from '../quantization/formats/format';
import type { Rotation } from '../quantization/hadamard';
import { signalToNoise } from '../quantization/metrics';
import { type Observations, type ObservedTensor, observedKey } from '../quantization/observations';
import type { Config, LayerConfig } from './config/config';
import { ASKED, type AskedWeights, type Settings } from './config/settings';
import type { NodeRecord, QuantizationOptions, QuantizationReport } from './convert';
import { DEFAULT_SAMPLES, progressOf, withMetadata } from './convert';
import { bitsOfLayer, ROTATION_SEED } from './weights';

/** A program of its own is not worth it for fewer weights, unless a pattern says so. */
const MIN_WEIGHTS = 4096;

const SCHEME = 'weights only: activations float32; int8 weights per row, symmetric';

const NO_DATA: CalibrationProvenance = {
  method: 'none',
  samples: 0,
  sha256: createHash('sha256').digest('hex'),
  runtime: 'none',
};

interface Chosen {
  readonly weighted: Weighted;
  readonly asked: AskedWeights;
  /** Why it is stored in INT8 against what was asked. */
  readonly reason?: string;
  readonly rotation?: Rotation;
}

interface Selection {
  readonly chosen: ReadonlyMap<string, Chosen>;
  /** What stays float, and why. */
  readonly float: ReadonlyMap<string, string>;
  /** Nodes of loops and branches, whose inputs cannot be watched. */
  readonly inside: ReadonlyMap<string, string>;
}

function checkOptions(
  { targetBits, equalize, requestsPrecision }: Settings,
  options: QuantizationOptions,
): void {
  const { maxDrop, minSignalToNoise } = options;
  const [name] =
    Object.entries({
      targetBits,
      maxDrop,
      minSignalToNoise,
      equalize: equalize || undefined,
      'int16 or dynamic': requestsPrecision || undefined,
    }).find(([, value]) => value !== undefined) ?? [];
  if (name === undefined) return;
  throw new LowbitError(
    'invalid-argument',
    `The option ${name} is about layers with INT8 activations; leave it out where activations stay float32.`,
  );
}

/** A rotation of the input, where one is asked for and lowers the error of low-bit weights. */
function rotationOf({ weighted, asked }: Chosen): Rotation | undefined {
  if (asked.block === 0 || weighted.kind === 'table' || asked.format === 'int8') return undefined;
  const rotation = { block: asked.block, seed: ROTATION_SEED };
  const { format, group } = asked;
  return rotationHelps(weighted.op, { format, group, rotation }) ? rotation : undefined;
}

function select(graph: Graph, shapes: Shapes, settings: Settings): Selection {
  const found = findWeighted(graph, shapes);
  const skipped = settings.float(graph);
  const chosen = new Map<string, Chosen>();
  const float = new Map<string, string>();
  const { first, last } = endsOf(
    graph,
    new Set([...found].flatMap(([n, w]) => (typeof w === 'string' ? [] : [n]))),
  );
  for (const [name, weighted] of found) {
    const asked = settings.weightsOf(name);
    const reason = skipped.get(name) ?? (typeof weighted === 'string' ? weighted : undefined);
    if (reason !== undefined || typeof weighted === 'string') {
      float.set(name, reason!);
      continue;
    }
    const count = weightCount(weightsOf(weighted));
    if (count < MIN_WEIGHTS && !asked.byPattern) {
      float.set(name, `it has only ${count} weights`);
      continue;
    }
    const end = first.has(name) ? 'first' : last.has(name) ? 'last' : undefined;
    const kept = end !== undefined && asked.format !== 'int8' && !asked.byPattern;
    const choice: Chosen = kept
      ? { weighted, asked: { ...asked, format: 'int8' }, reason: `it is the ${end} layer` }
      : { weighted, asked };
    const rotation = rotationOf(choice);
    chosen.set(name, { ...choice, ...(rotation && { rotation }) });
  }
  return { chosen, float, inside: nodesInControlFlow(graph) };
}

/** Tensors whose mean squares weigh the errors of weights. */
function observedTensors({ chosen, inside }: Selection): ObservedTensor[] {
  return [...chosen].flatMap(([name, { weighted, asked, rotation }]) => {
    if (weighted.kind === 'table' || asked.format === 'int8' || inside.has(name)) return [];
    const channels = weightsPerChannel(weighted.op);
    return [{ ref: weighted.op.input, channels, squares: true, ...(rotation && { rotation }) }];
  });
}

function encodeTable(weighted: Weighted, { format, group }: LayerFormat): EncodedLayer {
  const { values, rows, depth } = rowsOf(weighted);
  const matrix = encodeMatrix(format, values, rows, depth, { group });
  return { matrix, signalToNoise: signalToNoise(values, decodeMatrix(matrix)) };
}

async function encodeAll(
  graph: Graph,
  { chosen, inside }: Selection,
  observations: Observations | undefined,
  data: SampleSource | undefined,
  settings: Settings,
  options: QuantizationOptions,
): Promise<Map<string, EncodedLayer>> {
  const { signal } = options;
  const report = progressOf(options);
  const encoded = new Map<string, EncodedLayer>();
  const names = [...chosen.keys()].filter((name) => chosen.get(name)!.asked.format !== 'int8');
  const encode = (name: string, hessian?: Float64Array) => {
    const { weighted, asked, rotation } = chosen.get(name)!;
    const { group } = asked;
    const format = { format: asked.format as FormatName, group, ...(rotation && { rotation }) };
    const known =
      observations && weighted.kind === 'product' && statisticsOf(weighted.op, rotation, observations);
    encoded.set(
      name,
      weighted.kind === 'table'
        ? encodeTable(weighted, format)
        : encodeLayer(weighted.op, format, { ...known, hessian }),
    );
    report('encode weights', encoded.size, names.length);
  };
  const fedBack = (name: string) =>
    settings.errorFeedback && data && chosen.get(name)!.weighted.kind === 'product' && !inside.has(name);
  const inputs = names.filter(fedBack).map((name) => {
    const { weighted, rotation } = chosen.get(name)!;
    const { op } = weighted as Extract<Weighted, { kind: 'product' }>;
    return { name, ref: op.input, depth: weightsPerChannel(op), ...(rotation && { rotation }) };
  });
  if (inputs.length > 0)
    await measureHessians(
      graph,
      inputs,
      data!,
      { samples: settings.samples ?? DEFAULT_SAMPLES, signal },
      encode,
    );
  for (const name of names) {
    await yieldToCancel(signal);
    if (!fedBack(name)) encode(name);
  }
  return encoded;
}

function bitsOf(weighted: Weighted, encoded: EncodedLayer | undefined): number {
  const filter = weightsOf(weighted);
  const channels = weighted.kind === 'table' ? filter.shape[0] : weighted.op.channels;
  return bitsOfLayer({ filter, channels }, encoded?.matrix);
}

function recordsOf(
  graph: Graph,
  { chosen, float }: Selection,
  encoded: ReadonlyMap<string, EncodedLayer>,
  fidelity: ReadonlyMap<string, number>,
): { quantized: NodeRecord[]; float: NodeRecord[] } {
  const opOf = (name: string) => graph.nodes.get(name)!.op;
  const quantized = [...chosen].map(([name, { weighted, asked, reason, rotation }]): NodeRecord => {
    const layer = encoded.get(name);
    return {
      name,
      op: opOf(name),
      weightSignalToNoise: Math.round(fidelity.get(name)! * 10) / 10,
      weights: layer?.matrix.format ?? 'int8',
      bitsPerWeight: Math.round(1000 * bitsOf(weighted, layer)) / 1000,
      ...(layer && { group: asked.group }),
      ...(rotation && { rotation: 'computed' as const }),
      ...(reason && { weightsReason: reason }),
    };
  });
  return {
    quantized,
    float: [...float].map(([name, reason]): NodeRecord => ({ name, op: opOf(name), reason })),
  };
}

/** All that was decided, in a form that gives the same model when read back. */
function effectiveConfig({ chosen, float }: Selection, settings: Settings, samples: number): Config {
  const layers = [...chosen].flatMap(([match, { asked, reason, rotation }]): LayerConfig[] => {
    if (reason) return [];
    const rotate = rotation !== undefined && (asked.block as 64 | 128 | 256);
    const { format, group } = asked;
    return [{ match, weights: format, ...(format !== 'int8' && { group, rotate }) }];
  });
  const skipped = [...float].filter(([, reason]) => reason === ASKED);
  return {
    version: 1,
    calibration: { samples },
    activations: 'float32',
    ...(settings.weights.format !== 'int8' && { weights: settings.weights.format }),
    ...(settings.errorFeedback && { errorFeedback: true }),
    layers: [...layers, ...skipped.map(([match]) => ({ match, bits: 'float' as const }))],
  };
}

/**
 * Quantizes the weights of products and tables.
 *
 * @param calibration weighs the errors of low-bit weights by what they multiply; absent or `random`: all alike
 * @throws LowbitError as `convert`
 */
export async function convertWeights(
  source: Graph,
  calibration: SampleSource | 'random' | undefined,
  settings: Settings,
  options: QuantizationOptions,
): Promise<QuantizationReport & { readonly graph: Graph }> {
  checkOptions(settings, options);
  const report = progressOf(options);
  report('optimize', 0, 1);
  const { graph, changes } = optimize(source);
  const shapes = inferShapes(graph);
  const selection = select(graph, shapes, settings);
  if (selection.chosen.size === 0 && mixturesOf(graph).length === 0) {
    const reasons = [...new Set(selection.float.values())].slice(0, 5).join('; ');
    throw new LowbitError(
      'invalid-model',
      `No weights in this model can be quantized: ${reasons || 'it has none'}.`,
    );
  }
  const { samples = DEFAULT_SAMPLES } = settings;
  const data = typeof calibration === 'function' ? calibration : undefined;
  const observed = [...new Map(observedTensors(selection).map((t) => [observedKey(t), t])).values()];
  const observations =
    data && observed.length > 0
      ? await calibrate(graph, observed, data, {
          samples,
          signal: options.signal,
          onProgress: (done, total) => report('calibrate', done, total),
        })
      : undefined;
  const provenance = observations?.provenance ?? NO_DATA;
  const encoded = await encodeAll(graph, selection, observations, data, settings, options);
  report('quantize', 0, 1);
  const weighted = new Map([...selection.chosen].map(([name, { weighted: each }]) => [name, each]));
  const replaced = replaceWeighted(graph, weighted, encoded);
  const records = recordsOf(graph, selection, encoded, replaced.weightFidelity);
  const total = [...graph.nodes.values()].reduce((sum, node) => sum + countMacs(graph, shapes, node), 0);
  const stored = [...weighted].map(([name, each]) => ({
    count: weightCount(weightsOf(each)),
    bits: bitsOf(each, encoded.get(name)),
  }));
  const counts = stored.reduce((sum, { count }) => sum + count, 0);
  const products = [...weighted.values()].filter(({ kind }) => kind === 'product').length;
  return {
    graph: withMetadata(replaced.graph, records, provenance, { scheme: SCHEME, precision: 'float32' }),
    ...records,
    regions: products,
    changes,
    macs: { total, int8: 0, int16: 0, percent: 0, integerPercent: 0 },
    calibration: provenance,
    bitsPerWeight: stored.reduce((sum, { count, bits }) => sum + count * bits, 0) / Math.max(counts, 1),
    config: effectiveConfig(selection, settings, samples),
    warnings: settings.warnings(graph),
  };
}
