/**
 * A float simulation of a converted model: its float graph in TF.js, with every tensor that the program stores rounded as
 * the program says, and every weight to its codes. Sums, functions and requantization are those of float TF.js: nothing of
 * the engine or its kernels takes part.
 */
import * as tfc from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import type { Decision, Int8Decision, WeightOnlyDecision } from '../../../src/conversion/stage-results';
import { attr } from '../../../src/graph/attrs';
import { refKey, topologicalOrder } from '../../../src/graph/edit';
import type { Constant, Graph, GraphNode, RawAttr, TensorRef } from '../../../src/graph/ir';
import { lowerRegion } from '../../../src/passes/quantize/lower-region';
import type { Region } from '../../../src/passes/quantize/plan/region';
import type { FloatInOutStep, OpStep, Step } from '../../../src/passes/quantize/plan/steps';
import {
  type FilterRef,
  Granularity,
  type Op,
  OpKind,
  type Program,
  type TensorSpec,
  TensorType,
  WeightFormat,
} from '../../../src/program/program';
import { decodeMatrix } from '../../../src/quantization/formats/decode';

// Rounding

function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

function roundTo(x: number, scale: number, zeroPoint: number, offset: number): number {
  return (clamp(roundHalfToEven((x - offset) / scale) + zeroPoint, -128, 127) - zeroPoint) * scale + offset;
}

type Rounding = (values: Float32Array, shape: readonly number[]) => Float32Array;

const staticRounding =
  (scale: number, zeroPoint: number, offset = 0): Rounding =>
  (values) =>
    values.map((x) => roundTo(x, scale, zeroPoint, offset));

/** Rounds values that belong together with the scale that they need. */
function byGroups(
  values: Float32Array,
  groupOf: (i: number) => number,
  rounded: (low: number, high: number) => (x: number) => number,
): Float32Array {
  const [lows, highs] = [new Map<number, number>(), new Map<number, number>()];
  values.forEach((x, i) => {
    const group = groupOf(i);
    lows.set(group, Math.min(lows.get(group) ?? 0, x));
    highs.set(group, Math.max(highs.get(group) ?? 0, x));
  });
  const rounders = new Map([...lows].map(([group, low]) => [group, rounded(low, highs.get(group)!)]));
  return values.map((x, i) => rounders.get(groupOf(i))!(x));
}

const sampleSize = (shape: readonly number[]) =>
  (shape.length < 2 ? shape : shape.slice(1)).reduce((product, d) => product * d, 1);

const int16Rounding: Rounding = (values, shape) =>
  byGroups(
    values,
    (i) => Math.floor(i / sampleSize(shape)),
    (low, high) => {
      const scale = Math.max(-low, high) / 32767;
      return (x) => (scale === 0 ? 0 : roundHalfToEven(x / scale) * scale);
    },
  );

const dynamicRounding =
  (granularity: Granularity): Rounding =>
  (values, shape) => {
    const channels = shape.at(-1) ?? 1;
    const sample = (i: number) => Math.floor(i / sampleSize(shape));
    const groupOf =
      granularity === Granularity.Sample
        ? sample
        : granularity === Granularity.Row
          ? (i: number) => Math.floor(i / channels)
          : (i: number) => sample(i) * channels + (i % channels);
    return byGroups(values, groupOf, (low, high) => {
      const scale = (high - low) / 255;
      if (scale === 0) return () => 0;
      const zero = roundHalfToEven(-low / scale);
      return (x) => (clamp(roundHalfToEven(x / scale) + zero, 0, 255) - zero) * scale;
    });
  };

const gridRounding =
  (first: number, step: number): Rounding =>
  (values) =>
    values.map((x) => first + clamp(roundHalfToEven((x - first) / step), 0, 255) * step);

/** Roundings of the graphs that are being simulated: TF.js hands a node its number only. */
const roundings: Rounding[] = [];

const ROUNDING_OP = 'SimulatedRounding';

tfc.registerOp(ROUNDING_OP, ({ inputs: [x], attrs }) => {
  const rounded = roundings[Number(attrs.rounding)](Float32Array.from(x.dataSync()), x.shape);
  return tf.tensor(rounded, x.shape);
});

// Weights

/** Symmetric codes of a channel: at most `most` in magnitude. */
function roundedWeights(
  { values, shape }: Constant,
  channelOf: (i: number) => number,
  scaleOf: (magnitudes: readonly number[]) => number,
): Constant {
  const magnitudes = new Map<number, number[]>();
  values.forEach((w, i) => {
    const channel = channelOf(i);
    const known = magnitudes.get(channel);
    if (known) known.push(Math.abs(w));
    else magnitudes.set(channel, [Math.abs(w)]);
  });
  const scales = new Map([...magnitudes].map(([channel, of]) => [channel, scaleOf(of)]));
  const rounded = Float32Array.from(values, (w, i) => {
    const scale = scales.get(channelOf(i))!;
    return scale === 0 ? 0 : roundHalfToEven(w / scale) * scale;
  });
  return { dtype: 'float32', shape, values: rounded };
}

const int8Scale = (magnitudes: readonly number[]) => Math.max(...magnitudes) / 127;

/** As fine as sums of products with int16 activations allow. */
const int16Scale = (magnitudes: readonly number[]) =>
  Math.max(
    Math.max(...magnitudes) / 32767,
    magnitudes.reduce((sum, m) => sum + m, 0) / (65536 - magnitudes.length),
  );

/** Where a node has weights: the input, the output channel of each, and its place among the rows of a program. */
interface WeightLayout {
  readonly input: number;
  channelOf(i: number): number;
  rowMajor(i: number): number;
}

function weightLayout({ op, attrs }: GraphNode, { shape }: Constant): WeightLayout {
  const last = shape.at(-1)!;
  const count = shape.reduce((product, d) => product * d, 1);
  if (op === 'Conv2DBackpropInput') {
    const [, , channels, depth] = shape;
    const channelOf = (i: number) => Math.floor(i / depth) % channels;
    return { input: 1, channelOf, rowMajor: () => Number.NaN };
  }
  if (op.includes('Depthwise')) {
    const channels = shape[2] * shape[3];
    return { input: 1, channelOf: (i) => i % channels, rowMajor: (i) => i };
  }
  const transposed = op.includes('MatMul') && (attrs.transpose_b?.b === true || attrs.adj_y?.b === true);
  if (transposed) return { input: 1, channelOf: (i) => Math.floor(i / last), rowMajor: (i) => i };
  const depth = count / last;
  return {
    input: 1,
    channelOf: (i) => i % last,
    rowMajor: (i) => (i % last) * depth + Math.floor(i / last),
  };
}

const LAYER = /^(_?Fused)?(Conv2D|DepthwiseConv2d|MatMul|BatchMatMul)/;

interface Bias {
  readonly values: Float32Array;
  /** What a channel's bias is rounded to. */
  step(channel: number): number;
}

/** The bias of an op in real units. */
function readBias(op: Op & { filter: FilterRef }, program: Program, bytes: DataView): Bias | undefined {
  const { filter } = op;
  const channels =
    'outFeatures' in op
      ? op.outFeatures
      : 'outChannels' in op
        ? op.outChannels
        : 'multiplier' in op
          ? op.channels * op.multiplier
          : 0;
  const { type, scale } = program.tensors[op.inputs[0]];
  const whole = filter.format === WeightFormat.Int8 && type === TensorType.Int8;
  const step = (c: number) => (whole ? scale * bytes.getFloat32(filter.scaleOffset + 4 * c, true) : 0);
  const { biasOffset } = filter;
  if (biasOffset === undefined) return { values: new Float32Array(channels), step };
  const values = Float32Array.from({ length: channels }, (_, c) =>
    whole ? bytes.getInt32(biasOffset + 4 * c, true) * step(c) : bytes.getFloat32(biasOffset + 4 * c, true),
  );
  return { values, step };
}

// The graph

class Simulation {
  private readonly nodes: Map<string, GraphNode>;
  private readonly constants: Map<string, Constant>;
  /** Where the values of a tensor are in the simulation, by its key in the graph. */
  private readonly moved = new Map<string, TensorRef>();
  /** Biases that no correction explains. */
  readonly wrongBiases: string[] = [];
  private count = 0;

  constructor(private readonly graph: Graph) {
    this.nodes = new Map(graph.nodes);
    this.constants = new Map(graph.constants);
  }

  private add(op: string, inputs: readonly TensorRef[], attrs: Record<string, RawAttr>): TensorRef {
    const name = `simulated_${this.count++}`;
    this.nodes.set(name, { name, op, inputs, attrs });
    return { node: name, index: 0 };
  }

  private constant(constant: Constant): TensorRef {
    const ref = this.add('Const', [], { dtype: attr.dtype(constant.dtype) });
    this.constants.set(ref.node, constant);
    return ref;
  }

  private round(ref: TensorRef, rounding: Rounding | undefined): TensorRef {
    if (!rounding) return ref;
    const number = roundings.push(rounding) - 1;
    return this.add(ROUNDING_OP, [ref], { T: attr.dtype('float32'), rounding: attr.int(number) });
  }

  private current(ref: TensorRef): TensorRef {
    return this.moved.get(refKey(ref)) ?? ref;
  }

  /**
   * Copies what computes a tensor of others.
   *
   * @param reads what stands for those others, by key
   * @param replace other inputs of a node
   */
  private copy(
    ref: TensorRef,
    reads: ReadonlyMap<string, TensorRef>,
    inside: ReadonlySet<string>,
    replace: (node: GraphNode, index: number, constant: Constant) => Constant | undefined,
    after: (node: GraphNode, copied: TensorRef) => TensorRef = (_, copied) => copied,
  ): TensorRef {
    const node = this.graph.nodes.get(ref.node)!;
    const inputs = node.inputs.map((input, index) => {
      const read = reads.get(refKey(input));
      if (read) return read;
      const constant = this.graph.constants.get(input.node);
      if (constant) {
        const other = replace(node, index, constant);
        return other ? this.constant(other) : input;
      }
      return inside.has(input.node) ? this.copy(input, reads, inside, replace, after) : this.current(input);
    });
    return after(node, { ...this.add(node.op, inputs, node.attrs), index: ref.index });
  }

  region(region: Region, program: Program, weights: Int32Array, decision: Int8Decision): void {
    const { weights: encoded, observations } = decision;
    // Sequential correction also counts what the layers before do.
    const meansOf = (ref: TensorRef) =>
      observations.quantizedMeans
        ? Number.POSITIVE_INFINITY
        : Math.max(0, ...(observations.means.get(refKey(ref)) ?? []).map(Math.abs));
    const inside = new Set(region.nodes.map(({ name }) => name));
    /** Tensors of the program by what they hold. */
    const held = new Map<number, string>();
    for (const [i, ref] of region.inputs.entries()) held.set(program.inputs[i], refKey(ref));
    const offsets = new Map<number, number>();
    const floats = new Float32Array(weights.buffer, weights.byteOffset, weights.byteLength >> 2);
    const constants = new Map<number, TensorSpec>();
    const steps = [...region.steps];
    const queue = [...program.ops];
    const bytes = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
    const biasOf = (op: Op): Bias | undefined => ('filter' in op ? readBias(op, program, bytes) : undefined);
    const grids = new Map<number, Rounding>();
    const floatAt = (op: Op) => (op.kind === OpKind.FloatAffine ? floats[op.bOffset / 4] : 0);
    const roundingOf = (id: number): Rounding | undefined => {
      const { type, scale, zeroPoint, granularity } = program.tensors[id];
      if (type === TensorType.Int16) return int16Rounding;
      if (type === TensorType.DynamicInt8) return grids.get(id) ?? dynamicRounding(granularity!);
      return type === TensorType.Int8 ? staticRounding(scale, zeroPoint, offsets.get(id)) : undefined;
    };
    const carries = (op: Op): boolean => {
      const [from] = op.inputs;
      switch (op.kind) {
        case OpKind.Quantize:
        case OpKind.Dequantize:
        case OpKind.QuantizeInt16:
        case OpKind.QuantizeDynamic:
        case OpKind.QuantizeGrid:
          held.set(op.output, held.get(from)!);
          if (offsets.has(from)) offsets.set(op.output, offsets.get(from)!);
          if (op.kind === OpKind.QuantizeGrid) {
            const { first, step } = op.grid;
            grids.set(op.output, gridRounding(first, step));
            offsets.set(op.output, first + Math.round(-first / step) * step);
          }
          return true;
        case OpKind.Constant:
          constants.set(op.output, program.tensors[op.output]);
          return true;
        default:
          return false;
      }
    };
    const nameOf = (step: Step) => (step.kind === 'lookup' ? step.to.node : step.node.name);
    const resultOf = (step: Step) =>
      step.kind === 'lookup' ? step.to : step.kind === 'floatInOut' ? step.result : step.store.result;
    /** The values before they are rounded to codes that an input of the program is shifted to. */
    const isShift = (op: Op) =>
      op.kind === OpKind.FloatAffine &&
      program.inputs.includes(op.inputs[0]) &&
      nameOf(steps[0] ?? region.steps[0]) !== op.name;
    for (let op = queue.shift(); op; op = queue.shift()) {
      if (carries(op)) continue;
      if (isShift(op)) {
        held.set(op.output, held.get(op.inputs[0])!);
        offsets.set(op.output, -floatAt(op));
        continue;
      }
      const step = steps.shift();
      if (!step || nameOf(step) !== op.name) throw new Error(`${op.name} is not ${step && nameOf(step)}`);
      // Several ops may do what one step does: windows cut out before a product, a reshape behind a slice.
      const own = [op];
      while (queue[0]?.name === op.name && !carries(queue[0])) own.push(queue.shift()!);
      this.step(step, own, { inside, held, constants, offsets, roundingOf, biasOf, encoded, meansOf });
      held.set(own.at(-1)!.output, refKey(resultOf(step)));
    }
  }

  private step(
    step: Step,
    ops: readonly Op[],
    context: {
      inside: ReadonlySet<string>;
      held: ReadonlyMap<number, string>;
      constants: ReadonlyMap<number, TensorSpec>;
      offsets: ReadonlyMap<number, number>;
      roundingOf(id: number): Rounding | undefined;
      biasOf(op: Op): Bias | undefined;
      encoded: Int8Decision['weights'];
      meansOf(ref: TensorRef): number;
    },
  ): void {
    const { inside, held, constants, offsets, roundingOf, biasOf, encoded, meansOf } = context;
    const [first] = ops;
    const last = ops.at(-1)!;
    const activations = step.kind === 'lookup' ? [step.from] : step.quantizable.activations;
    // What lies around an image is the code of zero, which stands for the offset: a layer sums codes without it, and its bias
    // adds it to all of its sums.
    const weighted = step.kind !== 'lookup' && step.quantizable.kind === 'weighted';
    const shift = weighted ? (offsets.get(first.inputs[0]) ?? 0) : 0;
    const reads = new Map(
      activations.map((ref) => {
        const id = first.inputs.find((input) => held.get(input) === refKey(ref));
        if (id === undefined) throw new Error(`${first.name} does not read ${refKey(ref)}`);
        const rounding = roundingOf(id);
        const shifted: Rounding = (values, shape) => rounding!(values, shape).map((x) => x - shift);
        return [refKey(ref), this.round(this.current(ref), shift === 0 ? rounding : shifted)] as const;
      }),
    );
    const replace = (node: GraphNode, index: number, constant: Constant): Constant | undefined => {
      const spec = first.inputs.length > index ? constants.get(first.inputs[index]) : undefined;
      if (spec) {
        const { scale, zeroPoint } = spec;
        return { ...constant, values: staticRounding(scale, zeroPoint)(constant.values as Float32Array, []) };
      }
      if (step.kind === 'lookup' || !weighted || !LAYER.test(node.op)) return undefined;
      if (index === 2) return { ...constant, values: biasBeside(node, constant.values as Float32Array) };
      return index === 1 ? roundedFilter(step, node, constant) : undefined;
    };
    const roundedFilter = (step: OpStep | FloatInOutStep, node: GraphNode, constant: Constant): Constant => {
      const layout = weightLayout(node, constant);
      const low = encoded.lowBit.get(node.name);
      const rounded = encoded.rounded?.get(node.name);
      if (step.kind === 'floatInOut') {
        const precise = step.form.precision === 'int16';
        if (precise) return roundedWeights(constant, layout.channelOf, int16Scale);
      } else if (low) {
        const decoded = decodeMatrix(low.matrix);
        return {
          ...constant,
          values: Float32Array.from(constant.values, (_, i) => decoded[layout.rowMajor(i)]),
        };
      }
      if (rounded) {
        const { codes, scales } = rounded;
        return {
          ...constant,
          values: Float32Array.from(
            constant.values,
            (_, i) => codes[layout.rowMajor(i)] * scales[layout.channelOf(i)],
          ),
        };
      }
      return roundedWeights(constant, layout.channelOf, int8Scale);
    };
    /** The bias of the program, which corrects for the mean error of the weights. */
    const biasBeside = (node: GraphNode, float: Float32Array): Float32Array => {
      const bias = biasOf(last) ?? { values: Float32Array.from(float), step: () => 0 };
      if (node.op === 'Conv2DBackpropInput') return float;
      const constant = this.graph.constants.get(node.inputs[1].node)!;
      const { values } = roundedFilter(step as OpStep, node, constant);
      const { channelOf } = weightLayout(node, constant);
      // Codes whose scale is found at run time stand for exact values: only what lies around them is off.
      const exact = step.kind === 'floatInOut';
      const [offset, allowed] = [new Float64Array(bias.values.length), new Float64Array(bias.values.length)];
      const most = meansOf(node.inputs[0]);
      values.forEach((w, i) => {
        offset[channelOf(i)] += shift * w;
        allowed[channelOf(i)] += Math.abs(w - constant.values[i]) * most;
      });
      for (const [c, value] of bias.values.entries()) {
        const correction = Math.abs(value - (float[c] ?? 0) - (exact ? 0 : offset[c]));
        const room = 1.01 * allowed[c] + bias.step(c) + 1e-5 * (1 + Math.abs(value));
        if (correction > room)
          this.wrongBiases.push(`${node.name}: channel ${c} is off by ${correction}, ${room} allowed`);
      }
      return exact ? bias.values.map((value, c) => value + offset[c]) : bias.values;
    };
    const after = (node: GraphNode, copied: TensorRef): TensorRef => {
      const fused = node.inputs.length > 2 || node.op === 'Conv2DBackpropInput';
      if (!weighted || !LAYER.test(node.op) || fused) return copied;
      const { filter } = last as Op & { filter?: FilterRef };
      if (filter?.biasOffset === undefined && shift === 0) return copied;
      const values = biasBeside(node, new Float32Array());
      return this.add(
        'AddV2',
        [copied, this.constant({ dtype: 'float32', shape: [values.length], values })],
        {
          T: attr.dtype('float32'),
        },
      );
    };
    const store = roundingOf(last.output);
    if (step.kind === 'op' && step.store.fused) {
      const { fused, result } = step.store;
      const { activation } = last as Extract<Op, { kind: OpKind.Conv2D }>;
      const { tableOffset, preScale, preZeroPoint } = activation;
      const before = this.copy(fused.before, reads, inside, replace, after);
      const read =
        tableOffset === undefined ? before : this.round(before, staticRounding(preScale!, preZeroPoint!));
      const behind = this.copy(result, new Map([[refKey(fused.before), read]]), inside, () => undefined);
      this.moved.set(refKey(result), this.round(behind, store));
      return;
    }
    const result =
      step.kind === 'lookup' ? step.to : step.kind === 'floatInOut' ? step.result : step.store.result;
    this.moved.set(refKey(result), this.round(this.copy(result, reads, inside, replace, after), store));
  }

  /** Replaces the weights of a node that reads float32 and multiplies by codes. */
  weightsOf(node: GraphNode, rounded: (constant: Constant) => Constant, input = 1): void {
    const ref = node.inputs[input];
    const constant = this.graph.constants.get(ref.node);
    if (!constant) throw new Error(`the weights of ${node.name} are not constant`);
    const weights = this.constant(rounded(constant));
    this.nodes.set(node.name, { ...node, inputs: node.inputs.with(input, weights) });
  }

  finish(): Graph {
    const nodes = new Map(
      [...this.nodes].map(([name, node]) => [
        name,
        name.startsWith('simulated_')
          ? node
          : { ...node, inputs: node.inputs.map((ref) => this.current(ref)) },
      ]),
    );
    const outputs = this.graph.outputs.map((entry) => ({ ...entry, ref: this.current(entry.ref) }));
    const kept = new Set<string>();
    const queue = [...outputs, ...this.graph.inputs].map(({ ref }) => ref.node);
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      if (kept.has(name)) continue;
      kept.add(name);
      queue.push(...nodes.get(name)!.inputs.map((ref) => ref.node));
    }
    return {
      ...this.graph,
      nodes: topologicalOrder(new Map([...nodes].filter(([name]) => kept.has(name)))),
      constants: new Map([...this.constants].filter(([name]) => kept.has(name))),
      outputs,
    };
  }
}

interface Simulated {
  readonly graph: Graph;
  /** Biases of the program that the mean error of their weights does not explain. */
  readonly wrongBiases: readonly string[];
}

function simulateInt8(decision: Int8Decision): Simulated {
  const { model, plan, observations, weights } = decision;
  const simulation = new Simulation(model.graph);
  for (const region of plan.regions) {
    const builder = lowerRegion(region, plan, observations, weights);
    simulation.region(region, builder.build(), builder.weights.build(), decision);
  }
  return { graph: simulation.finish(), wrongBiases: simulation.wrongBiases };
}

function simulateWeightOnly({ model, lowBit }: WeightOnlyDecision): Simulated {
  const simulation = new Simulation(model.graph);
  for (const [name, { weighted }] of model.layers) {
    const { node } = weighted;
    const matrix = lowBit.get(name)?.matrix;
    simulation.weightsOf(
      node,
      (constant) => {
        const row = constant.shape.at(-1)!;
        const layout =
          weighted.kind === 'table'
            ? { channelOf: (i: number) => Math.floor(i / row), rowMajor: (i: number) => i }
            : weightLayout(node, constant);
        if (!matrix) return roundedWeights(constant, layout.channelOf, int8Scale);
        const decoded = decodeMatrix(matrix);
        return {
          ...constant,
          values: Float32Array.from(constant.values, (_, i) => decoded[layout.rowMajor(i)]),
        };
      },
      weighted.kind === 'table' ? 0 : 1,
    );
  }
  return { graph: simulation.finish(), wrongBiases: [] };
}

function isRotated(decision: Decision): boolean {
  const encoded = decision.activations === 'int8' ? decision.weights.lowBit : decision.lowBit;
  const folded = decision.activations === 'int8' && decision.model.folded.size > 0;
  return folded || [...encoded.values()].some(({ rotation }) => rotation);
}

/** @returns undefined where inputs are rotated, which is not simulated */
export function simulate(decision: Decision): Simulated | undefined {
  roundings.length = 0;
  if (isRotated(decision)) return undefined;
  return decision.activations === 'int8' ? simulateInt8(decision) : simulateWeightOnly(decision);
}
