/**
 * Sensitivity: the loss of accuracy when a layer is quantized alone.
 *
 * The float model runs once per sample; then every layer runs by itself as the engine would run it, on its float inputs,
 * and TF.js computes what depends on its result. So a layer's share covers the rounding of its weights and of the
 * activations that it reads: what is recovered by leaving it in float.
 */
import * as tf from '@tensorflow/tfjs-core';
import { yieldToCancel } from '../base/cancelled';
import { LowbitError } from '../base/errors';
import { attr, shapeToJson } from '../graph/attrs';
import { consumers, output, refKey, topologicalOrder } from '../graph/edit';
import type { Shapes } from '../graph/infer-shapes';
import type { Graph, GraphNode, SignatureEntry, TensorRef } from '../graph/ir';
import type { LabelledSource, Output } from '../graph/samples';
import { joinedConstant } from '../graph/stored-constants';
import type { WeightOptions } from '../passes/quantize/lower/weight-options';
import { lowerRegion } from '../passes/quantize/lower-region';
import type { ActivationPrecision } from '../passes/quantize/match/quantizable';
import { type Layer, layersOf } from '../passes/quantize/plan/layers';
import { findMasks } from '../passes/quantize/plan/masks';
import { planQuantization, type QuantizationPlan } from '../passes/quantize/plan/plan';
import type { Region } from '../passes/quantize/plan/region';
import { encodeProgram } from '../program/program';
import { SignalToNoise } from '../quantization/metrics';
import type { Observations } from '../quantization/observations';
import { currentEngine } from '../runtime/current-engine';
import type { CompiledProgram } from '../runtime/engine';
import { importBackend, withBackend } from '../tfjs/backends';
import { toOutputs } from '../tfjs/loaded-graph';
import { loadGraph, type RunnableGraph } from '../tfjs/run-samples';
import { readerOf } from './held-regions';
import { Tally } from './tally';

const DEFAULT_SAMPLES = 16;

export interface SensitivityOptions {
  /** How many samples to use at most. Default 16. */
  samples?: number;
  /** How weights are quantized. */
  weights?: WeightOptions;
  /** Names of the layers to measure. Default: all. */
  only?: ReadonlySet<string>;
  /** The precision of their activations, where they have such a form; those without are not measured. Default: INT8. */
  precision?: ActivationPrecision;
  /** Measures the layers' own results only, which is much faster; outputs of the model are left out. */
  own?: boolean;
  onProgress?(done: number, total: number): void;
  signal?: AbortSignal;
}

export interface LayerSensitivity {
  /** Name of the node; others that are fused with it are counted with it. */
  readonly name: string;
  readonly op: string;
  /** Signal-to-noise of the layer's own result, in dB. */
  readonly ownSignalToNoise: number;
  /** The lowest signal-to-noise at an output of the model, in dB. */
  readonly signalToNoise: number;
  /** Signal-to-noise at every output of the model, in dB. */
  readonly outputs: readonly { name: string; signalToNoise: number }[];
  /** Points of top-1 that are lost, where samples have labels. */
  readonly top1Drop?: number;
}

export interface Sensitivity {
  readonly samples: number;
  /** Worst first. */
  readonly layers: readonly LayerSensitivity[];
}

/** Every node that depends on a node. */
function downstream(graph: Graph, node: string): Set<string> {
  const readers = consumers(graph);
  const found = new Set<string>();
  const queue = [node];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    for (const reader of readers.get(name) ?? []) {
      if (found.has(reader.name)) continue;
      found.add(reader.name);
      queue.push(reader.name);
    }
  }
  return found;
}

/**
 * A layer cut out of a graph: what it reads are inputs, what anything else reads of it are outputs. Planning it takes the
 * time of its own nodes, not that of the graph's.
 *
 * @returns undefined where it reads what cannot be an input: other outputs than a node's first, no float32 numbers, or what
 *   is padded with a mask
 */
function cutOut(graph: Graph, layer: Layer, shapes: Shapes): Graph | undefined {
  const { pads } = findMasks(graph);
  if (layer.activations.some(({ node }) => pads.has(node))) return undefined;
  const own = [...layer.nodes].map((name) => graph.nodes.get(name)!);
  const reads = own.flatMap(({ inputs }) => inputs.filter(({ node }) => !layer.nodes.has(node)));
  const tensors = reads.filter(({ node }) => !graph.constants.has(node));
  const activations = new Set(layer.activations.map(refKey));
  if (!tensors.every((ref) => ref.index === 0 && activations.has(refKey(ref)) && shapes.has(refKey(ref))))
    return undefined;
  const placeholders = tensors.map((ref): [string, GraphNode] => {
    const attrs = { dtype: attr.dtype('float32'), shape: { shape: shapeToJson(shapes.get(refKey(ref))!) } };
    return [ref.node, { name: ref.node, op: 'Placeholder', inputs: [], attrs }];
  });
  const constants = reads.flatMap(({ node }) => {
    const constant = graph.constants.get(node);
    return constant ? [[node, constant] as const] : [];
  });
  const read = new Set(graph.outputs.map(({ ref }) => ref.node));
  const readers = consumers(graph);
  const leaves = ({ name }: GraphNode) =>
    name === layer.result.node ||
    read.has(name) ||
    (readers.get(name) ?? []).some((reader) => !layer.nodes.has(reader.name));
  const entry = (ref: TensorRef): SignatureEntry => ({ name: ref.node, ref, dtype: 'float32' });
  return {
    ...graph,
    nodes: topologicalOrder(
      new Map([
        ...placeholders,
        // What must run first is not part of the cut.
        ...[...constants.map(([name]) => graph.nodes.get(name)!), ...own].map((node): [string, GraphNode] => [
          node.name,
          { ...node, controlInputs: [] },
        ]),
      ]),
    ),
    constants: new Map(constants),
    inputs: placeholders.map(([name]) => ({
      ...entry(output(name)),
      shape: shapes.get(refKey(output(name))),
    })),
    outputs: own.filter(leaves).map(({ name }) => entry(output(name))),
  };
}

/** The plan of one layer with all others in float, and the region that computes its result. */
function planAlone(
  graph: Graph,
  layer: Layer,
  shapes: Shapes,
  precision: ActivationPrecision | undefined,
): { plan: QuantizationPlan; region: Region } | undefined {
  const precisions = precision && new Map([...layer.nodes].map((name) => [name, precision] as const));
  const planned = (plan: QuantizationPlan) => {
    const key = refKey(layer.result);
    const region = plan.regions.find(({ outputs }) => outputs.some((ref) => refKey(ref) === key));
    return region && { plan, region };
  };
  const cut = cutOut(graph, layer, shapes);
  const alone = cut && planned(planQuantization(cut, { weightless: true, precisions }));
  if (alone) return alone;
  // What reads it may be why it has a form in the program, as the maximum behind a pad with the lowest value.
  const others = [...graph.nodes.keys()].filter((name) => !layer.nodes.has(name));
  const float = new Map(others.map((name) => [name, 'not measured now']));
  return planned(planQuantization(graph, { float, weightless: true, precisions }));
}

type Values = ReadonlyMap<string, tf.Tensor>;

/** TF.js keeps the bytes of a bool that it casts. */
function realNumbers(tensor: tf.Tensor): Float32Array {
  const values = tensor.dataSync();
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

/** Nodes of which more than the first output is read: TF.js can be fed one output of a node, and misses the others then. */
function nodesOfManyOutputs({ nodes, outputs }: Graph): Set<string> {
  const read = [...[...nodes.values()].flatMap(({ inputs }) => inputs), ...outputs.map(({ ref }) => ref)];
  return new Set(read.filter(({ index }) => index > 0).map(({ node }) => node));
}

/** One layer quantized, the rest of the model in float. */
class LoneLayer {
  private readonly inputs: readonly TensorRef[];
  private readonly program: CompiledProgram;
  /** Which of the program's results is the layer's. */
  private readonly index: number;
  private readonly after: ReadonlySet<string>;
  /** Nodes whose results are computed anew. */
  private readonly unfed: ReadonlySet<string>;
  private readonly own = new SignalToNoise();
  private readonly tally = new Tally();

  private constructor(
    private readonly graph: Graph,
    private readonly layer: Layer,
    plan: QuantizationPlan,
    region: Region,
    observations: Observations,
    weights: WeightOptions | undefined,
  ) {
    const builder = lowerRegion(region, plan, observations, weights);
    this.inputs = region.inputs;
    this.index = region.outputs.findIndex((o) => refKey(o) === refKey(layer.result));
    const { parts, byteLength } = builder.weights;
    const reader = readerOf(joinedConstant(parts, byteLength / 4));
    this.program = currentEngine().compile(encodeProgram(builder.build()), reader);
    this.after = downstream(graph, layer.result.node);
    this.unfed = new Set([...this.after, ...nodesOfManyOutputs(graph)]);
  }

  /** @returns undefined for a layer without a form in the precision */
  static of(
    graph: Graph,
    layer: Layer,
    shapes: Shapes,
    observations: Observations,
    { weights, precision }: SensitivityOptions,
  ): LoneLayer | undefined {
    const alone = planAlone(graph, layer, shapes, precision);
    if (alone) return new LoneLayer(graph, layer, alone.plan, alone.region, observations, weights);
    if (precision) return undefined;
    throw new Error(`Layer '${layer.name}' has no region of its own.`);
  }

  /** What `measure` needs of the float model beside its ends. */
  get observed(): TensorRef[] {
    return [...this.inputs, this.layer.result];
  }

  private run(values: Values): tf.Tensor {
    const inputs = this.inputs.map((ref) => values.get(refKey(ref))!);
    const shapes = inputs.map((t) => t.shape);
    const results = this.program.outputShapes(shapes);
    const arrays = results.map((shape) => new Float32Array(shape.reduce((p, d) => p * d, 1)));
    this.program.run(shapes, inputs.map(realNumbers), arrays);
    return tf.tensor(arrays[this.index], results[this.index]);
  }

  /** Computes the model's outputs from the layer's result. */
  private async outputs(model: RunnableGraph, values: Values, result: tf.Tensor): Promise<tf.Tensor[]> {
    const key = refKey(this.layer.result);
    const refs = this.graph.outputs.map((o) => o.ref);
    const changed = refs.filter((ref) => this.after.has(ref.node));
    const given = new Set(this.graph.inputs.map(({ ref }) => refKey(ref)));
    const feeds = Object.fromEntries(
      [...values].filter(([k, { dtype }]) => {
        // TF.js takes a node's type `T` for that of its result, which Equal and ArgMax have another of.
        const fits = dtype === 'float32' || given.has(k);
        return fits && !this.unfed.has(k.slice(0, k.lastIndexOf(':')));
      }),
    );
    const computed = changed.length > 0 ? await model.execute({ ...feeds, [key]: result }, changed) : [];
    const fresh = new Map(changed.map((ref, i) => [refKey(ref), computed[i]]));
    return refs.map(
      (ref) => fresh.get(refKey(ref)) ?? (refKey(ref) === key ? result : values.get(refKey(ref))!),
    );
  }

  /** Measures the layer's result for one sample, which the caller disposes. */
  measureOwn(values: Values): tf.Tensor {
    const result = this.run(values);
    this.own.add(values.get(refKey(this.layer.result))!.dataSync(), result.dataSync());
    return result;
  }

  /**
   * Measures one sample.
   *
   * @param values the float model's tensors: inputs and results of all layers, inputs and outputs of the model
   */
  async measure(
    model: RunnableGraph,
    values: Values,
    float: readonly Output[],
    label?: number,
  ): Promise<void> {
    const result = this.measureOwn(values);
    const outputs = await this.outputs(model, values, result);
    this.tally.add(float, toOutputs(this.graph, outputs), label);
    const kept = new Set(values.values());
    tf.dispose([...new Set([result, ...outputs])].filter((t) => !kept.has(t)));
  }

  report(): LayerSensitivity {
    const { outputs, top1 } = this.tally.report();
    return {
      name: this.layer.name,
      op: this.layer.op,
      ownSignalToNoise: this.own.decibels,
      signalToNoise: Math.min(...outputs.map((o) => o.signalToNoise)),
      outputs,
      ...(top1 && { top1Drop: top1.float - top1.lowbit }),
    };
  }

  dispose(): void {
    this.program.dispose();
  }
}

async function measureAll(
  graph: Graph,
  layers: readonly LoneLayer[],
  source: LabelledSource,
  { samples = DEFAULT_SAMPLES, own, onProgress, signal }: SensitivityOptions,
): Promise<number> {
  const ends = [...graph.inputs, ...graph.outputs].map((entry) => entry.ref);
  const refs = new Map([...layers.flatMap((l) => l.observed), ...ends].map((ref) => [refKey(ref), ref]));
  const model = await loadGraph(graph, [...refs.values()]);
  let seen = 0;
  try {
    for await (const { sample, label } of source(graph.inputs)) {
      const feeds = model.feed(sample);
      const tensors = await model.execute(feeds, [...refs.values()]);
      const values = new Map([...refs.keys()].map((key, i) => [key, tensors[i]]));
      try {
        const outputs = graph.outputs.map((o) => values.get(refKey(o.ref))!);
        const float = toOutputs(graph, outputs);
        for (const layer of layers) {
          await yieldToCancel(signal);
          if (own) layer.measureOwn(values).dispose();
          else await layer.measure(model, values, float, label);
        }
      } finally {
        tf.dispose([...tensors, ...Object.values(feeds)]);
      }
      seen++;
      onProgress?.(seen, samples);
      if (seen === samples) break;
    }
  } finally {
    model.dispose();
  }
  if (seen === 0)
    throw new LowbitError('invalid-argument', 'There are no samples to measure sensitivity on.');
  return seen;
}

/**
 * Measures the loss of accuracy for each layer of a plan, quantized alone.
 *
 * @param graph the optimized float graph
 * @param plan how it would be quantized; layers whose precision it settles are not measured
 * @param observations ranges of the plan's tensors
 * @param source a few representative samples; with labels, the loss of top-1 is measured too
 * @throws LowbitError 'invalid-argument' without samples; 'cancelled' on abort
 */
export async function measureSensitivity(
  graph: Graph,
  plan: QuantizationPlan,
  observations: Observations,
  source: LabelledSource,
  options: SensitivityOptions = {},
): Promise<Sensitivity> {
  const { only } = options;
  const layers = layersOf(graph, plan)
    .filter(({ name }) => !plan.precisions.has(name) && (only?.has(name) ?? true))
    .flatMap((layer) => LoneLayer.of(graph, layer, plan.shapes, observations, options) ?? []);
  try {
    const samples = await withBackend(await importBackend(), () =>
      measureAll(graph, layers, source, options),
    );
    const reports = layers.map((layer) => layer.report());
    return { samples, layers: reports.sort((a, b) => a.signalToNoise - b.signalToNoise) };
  } finally {
    for (const layer of layers) layer.dispose();
  }
}
