/**
 * A float simulation of a converted model: its float graph in TF.js, with every tensor that the program stores rounded as
 * the program says, and every weight to its codes. Sums, functions and requantization are those of float TF.js: nothing of
 * the engine or its kernels takes part.
 */
import * as tfc from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import type { Decision, Int8Decision, WeightOnlyDecision } from '../../../../src/conversion/stage-results';
import { attr } from '../../../../src/graph/attrs';
import { refKey, topologicalOrder } from '../../../../src/graph/edit';
import type { Constant, Graph, GraphNode, RawAttr, TensorRef } from '../../../../src/graph/ir';
import { lowerRegion } from '../../../../src/passes/quantize/lower-region';
import type { Region } from '../../../../src/passes/quantize/plan/region';
import type { Step } from '../../../../src/passes/quantize/plan/steps';
import { type Op, OpKind, type Program } from '../../../../src/program/program';
import { ProgramTensors } from './program-tensors';
import type { Rounding } from './rounding';
import { activationsOf, nameOf, resultOf, SimulatedStep } from './simulated-step';
import { storedWeights } from './weights';

/** Roundings of the graphs that are being simulated: TF.js hands a node its number only. */
const roundings: Rounding[] = [];

const ROUNDING_OP = 'SimulatedRounding';

tfc.registerOp(ROUNDING_OP, ({ inputs: [x], attrs }) => {
  const rounded = roundings[Number(attrs.rounding)](Float32Array.from(x.dataSync()), x.shape);
  return tf.tensor(rounded, x.shape);
});

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
   * @param inside names of the nodes that may be copied
   * @param step with which weights, biases and constants
   */
  private copy(
    ref: TensorRef,
    reads: ReadonlyMap<string, TensorRef>,
    inside: ReadonlySet<string>,
    step?: SimulatedStep,
  ): TensorRef {
    const node = this.graph.nodes.get(ref.node)!;
    const inputs = node.inputs.map((input, index) => {
      const read = reads.get(refKey(input));
      if (read) return read;
      const constant = this.graph.constants.get(input.node);
      if (constant) {
        const other = step?.constantOf(node, index, constant);
        return other ? this.constant(other) : input;
      }
      return inside.has(input.node) ? this.copy(input, reads, inside, step) : this.current(input);
    });
    const copied = { ...this.add(node.op, inputs, node.attrs), index: ref.index };
    const bias = step?.biasBehind(node);
    if (!bias) return copied;
    const summand = this.constant({ dtype: 'float32', shape: [bias.length], values: bias });
    return this.add('AddV2', [copied, summand], { T: attr.dtype('float32') });
  }

  region(region: Region, program: Program, weights: Int32Array, decision: Int8Decision): void {
    const tensors = new ProgramTensors(region, program, weights);
    const inside = new Set(region.nodes.map(({ name }) => name));
    const steps = [...region.steps];
    const queue = [...program.ops];
    const shifts = ({ kind, inputs: [from], name }: Op) =>
      kind === OpKind.FloatAffine &&
      program.inputs.includes(from) &&
      steps.every((step) => nameOf(step) !== name);
    for (let op = queue.shift(); op; op = queue.shift()) {
      if (tensors.follow(op)) continue;
      if (shifts(op)) {
        tensors.shift(op);
        continue;
      }
      const step = steps.shift();
      if (!step || nameOf(step) !== op.name) throw new Error(`${op.name} is not ${step && nameOf(step)}`);
      // Several ops may do what one step does: windows cut out before a product, a reshape behind a slice.
      const own = [op];
      while (queue[0]?.name === op.name && !tensors.follow(queue[0])) own.push(queue.shift()!);
      this.step(step, new SimulatedStep(this.graph, step, own, tensors, decision, this.wrongBiases), inside);
      tensors.hold(own.at(-1)!.output, resultOf(step));
    }
  }

  private step(step: Step, simulated: SimulatedStep, inside: ReadonlySet<string>): void {
    const reads = new Map(
      activationsOf(step).map((ref) => {
        const read = this.round(this.current(ref), simulated.roundingOf(ref));
        return [refKey(ref), read] as const;
      }),
    );
    const result = resultOf(step);
    const fused = step.kind === 'op' ? step.store.fused : undefined;
    let computed = this.copy(fused ? fused.before : result, reads, inside, simulated);
    if (fused) {
      const read = this.round(computed, simulated.beforeTable());
      computed = this.copy(result, new Map([[refKey(fused.before), read]]), inside);
    }
    this.moved.set(refKey(result), this.round(computed, simulated.store()));
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
    const encoded = lowBit.get(name);
    const table = weighted.kind === 'table';
    const store = (constant: Constant) => {
      const row = constant.shape.at(-1)!;
      const rows = { channelOf: (i: number) => Math.floor(i / row), rowMajor: (i: number) => i };
      return storedWeights(node, constant, { encoded }, table ? rows : undefined);
    };
    simulation.weightsOf(node, store, table ? 0 : 1);
  }
  return { graph: simulation.finish(), wrongBiases: [] };
}

export function simulate(decision: Decision): Simulated {
  roundings.length = 0;
  return decision.activations === 'int8' ? simulateInt8(decision) : simulateWeightOnly(decision);
}
