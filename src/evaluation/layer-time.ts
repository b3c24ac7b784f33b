/** How long every layer takes, in the float model and in the converted one. */
import * as tf from '@tensorflow/tfjs-core';
import { yieldToCancel } from '../base/cancelled';
import { median } from '../base/median';
import { refKey } from '../graph/edit';
import type { DenseTensor, Graph, GraphNode, Sample, TensorRef } from '../graph/ir';
import { groupCopies } from '../graph/turns';
import { BORDER_OPS, tapProgram } from '../program/tap-program';
import { currentEngine } from '../runtime/current-engine';
import type { CompiledProgram, TensorData } from '../runtime/engine';
import { LoadedGraph } from '../tfjs/loaded-graph';
import {
  findByName,
  layerBorders,
  nodesOfLayer,
  type RegionProgram,
  regionProgram,
  regionsOf,
  type TappedGraph,
  tapGraph,
} from './layer-tensors';

export interface LayerTime {
  /** Milliseconds of its float nodes, run by themselves on the TF.js backend; a median. */
  readonly before: number;
  /** Milliseconds in the native program, a mean; 0 for a layer that runs as part of another one. */
  readonly after: number;
}

export interface LayerTimes {
  /** By name. */
  readonly layers: ReadonlyMap<string, LayerTime>;
  /** Milliseconds that the converted model spends on quantizing and dequantizing between float and INT8. */
  readonly borders: number;
}

export interface LayerTimeOptions {
  /** Timed runs. Default 10. */
  runs?: number;
  signal?: AbortSignal;
}

const DEFAULT_RUNS = 10;

/** A layer of the float model on inputs that were computed before. */
interface FloatLayer {
  /** Its own, and those of its copies in other turns of a loop. */
  readonly names: readonly string[];
  readonly feeds: tf.NamedTensorMap;
  readonly result: TensorRef;
  readonly times: number[];
}

function computed({ op }: GraphNode): boolean {
  return op !== 'Const';
}

/** What the nodes of a layer read from outside. */
function inputsOf(float: Graph, nodes: readonly GraphNode[]): TensorRef[] {
  const inside = new Set(nodes.map(({ name }) => name));
  const read = nodes.flatMap(({ inputs }) => inputs);
  const outside = read.filter(({ node }) => !inside.has(node) && computed(float.nodes.get(node)!));
  return [...new Map(outside.map((ref) => [refKey(ref), ref])).values()];
}

async function timeOnce(model: LoadedGraph, { feeds, result, times }: FloatLayer): Promise<void> {
  const start = performance.now();
  const results = await model.execute(feeds, [result]);
  times.push(performance.now() - start);
  tf.dispose(results);
}

/** A program that is run on fixed inputs. */
class TimedProgram {
  private readonly program: CompiledProgram;
  private readonly shapes: readonly number[][];
  private readonly outputs: TensorData[];

  constructor(
    private readonly region: RegionProgram,
    private readonly inputs: readonly DenseTensor[],
  ) {
    this.program = currentEngine().compile(region.words, region.weights);
    this.shapes = inputs.map(({ shape }) => [...shape]);
    const results = this.program.outputShapes(this.shapes);
    this.outputs = results.map((shape) => new Float32Array(shape.reduce((p, d) => p * d, 1)));
  }

  run(): void {
    const values = this.inputs.map((input) => input.values as TensorData);
    this.program.run(this.shapes, values, this.outputs);
  }

  start(): void {
    this.program.startProfile();
  }

  /** Mean milliseconds of each op of the program, in its order. */
  end(): { name: string; border: boolean; milliseconds: number }[] {
    const { runs, opNanoseconds } = this.program.endProfile();
    this.program.dispose();
    return tapProgram(this.region.words).ops.map(({ name, kind }, i) => ({
      name,
      border: BORDER_OPS.has(kind),
      milliseconds: opNanoseconds[i] / runs / 1e6,
    }));
  }
}

async function timedPrograms(converted: Graph, sample: Sample): Promise<TimedProgram[]> {
  const regions = regionsOf(converted).map((node) => regionProgram(converted, node));
  const model = await LoadedGraph.load(converted);
  try {
    const programs: TimedProgram[] = [];
    for (const region of regions) {
      const inputs: DenseTensor[] = [];
      await model.run(sample, region.inputs, (tensor) =>
        inputs.push({ dtype: 'float32', shape: tensor.shape, values: tensor.dataSync() as Float32Array }),
      );
      programs.push(new TimedProgram(region, inputs));
    }
    return programs;
  } finally {
    model.dispose();
  }
}

/** Layers of the float model, each with what it reads: computed once, in tensors that the caller disposes of. */
async function floatLayers(
  model: LoadedGraph,
  float: Graph,
  tapped: TappedGraph,
  sample: Sample,
): Promise<{ layers: FloatLayer[]; tensors: tf.NamedTensorMap }> {
  const borders = layerBorders(tapped);
  const read = new Map<string, TensorRef>();
  // One turn of a loop stands for all.
  const copies = groupCopies(float, tapped.tensors, ({ float: result }) => result);
  const layers = [...copies].map(([{ record, float: result, region }, group]) => {
    const nodes = region ? nodesOfLayer(float, result, borders) : [float.nodes.get(record.name)!];
    const inputs = inputsOf(float, nodes);
    for (const ref of inputs) read.set(refKey(ref), ref);
    return { names: group.map((each) => each.record.name), keys: inputs.map(refKey), result };
  });
  const tensors = model.feed(sample);
  const missing = [...read.values()].filter((ref) => !(refKey(ref) in tensors));
  const results = missing.length === 0 ? [] : await model.execute(tensors, missing);
  missing.forEach((ref, i) => {
    tensors[refKey(ref)] = results[i];
  });
  const feedsOf = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, tensors[key]]));
  // TF.js takes a node's type `T` for that of its result, which comparisons have another of, and is not to be fed with it.
  const between = new Set(missing.map(refKey));
  const fits = (key: string) => !between.has(key) || tensors[key].dtype === 'float32';
  return {
    layers: layers.flatMap(({ names, keys, result }) =>
      keys.every(fits) ? [{ names, result, feeds: feedsOf(keys), times: [] }] : [],
    ),
    tensors,
  };
}

/** Sums the times of a program's ops by layer; what no layer is named after counts as a border. */
function sumByLayer(programs: readonly TimedProgram[], layers: readonly FloatLayer[]) {
  const sums = new Map<string, number>();
  const named = layers.flatMap(({ names }) => names.map((name) => ({ name })));
  let borders = 0;
  for (const { name, border, milliseconds } of programs.flatMap((program) => program.end())) {
    const layer = border ? undefined : findByName(named, name);
    if (layer) sums.set(layer.name, (sums.get(layer.name) ?? 0) + milliseconds);
    else borders += milliseconds;
  }
  return { sums, borders };
}

/**
 * Times every layer of both models, turn by turn, on the current backend. A layer of the float model runs by itself, so
 * its time holds what TF.js adds to each op; a layer of the converted one is timed inside its native program. Layers that
 * read booleans, or whole numbers that the model computes, have no times.
 *
 * @param float the graph that was quantized, after folding
 * @param converted as `readModel` reads it
 * @throws LowbitError 'cancelled' on abort
 */
export async function layerTimes(
  float: Graph,
  converted: Graph,
  sample: Sample,
  { runs = DEFAULT_RUNS, signal }: LayerTimeOptions = {},
): Promise<LayerTimes> {
  const tapped = tapGraph(converted, float);
  const programs = await timedPrograms(converted, sample);
  const model = await LoadedGraph.load(float);
  const { layers, tensors } = await floatLayers(model, float, tapped, sample);
  const round = async () => {
    for (const layer of layers) {
      await yieldToCancel(signal);
      await timeOnce(model, layer);
    }
    for (const program of programs) program.run();
  };
  try {
    await round();
    for (const layer of layers) layer.times.length = 0;
    for (const program of programs) program.start();
    for (let run = 0; run < runs; run++) await round();
  } finally {
    tf.dispose(tensors);
    model.dispose();
  }
  const { sums, borders } = sumByLayer(programs, layers);
  const regions = new Set(tapped.tensors.filter(({ region }) => region).map(({ record }) => record.name));
  return {
    borders,
    layers: new Map(
      layers.flatMap(({ names, times }) => {
        const before = median(times);
        return names.map((name): [string, LayerTime] => [
          name,
          { before, after: regions.has(name) ? (sums.get(name) ?? 0) : before },
        ]);
      }),
    ),
  };
}
