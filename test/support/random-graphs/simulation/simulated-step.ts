/** A step of a region: how what it reads, its weights and its result are rounded. */
import type { Int8Decision } from '../../../../src/conversion/stage-results';
import { refKey } from '../../../../src/graph/edit';
import type { Constant, Graph, GraphNode, TensorRef } from '../../../../src/graph/ir';
import type { Step } from '../../../../src/passes/quantize/plan/steps';
import type { Op } from '../../../../src/program/program';
import type { ProgramTensors } from './program-tensors';
import { type Rounding, staticRounding } from './rounding';
import { LAYER, storedWeights, weightLayout } from './weights';

/** The node that its ops are named after. */
export const nameOf = (step: Step) => (step.kind === 'lookup' ? step.to.node : step.node.name);

export function resultOf(step: Step): TensorRef {
  if (step.kind === 'lookup') return step.to;
  return step.kind === 'floatInOut' ? step.result : step.store.result;
}

export function activationsOf(step: Step): readonly TensorRef[] {
  return step.kind === 'lookup' ? [step.from] : step.quantizable.activations;
}

export class SimulatedStep {
  private readonly first: Op;
  private readonly last: Op;
  private readonly weighted: boolean;
  /**
   * What lies around an image is the code of zero, which stands for the offset of a grid: a layer reads values without it, and
   * its bias adds it to all of its sums.
   */
  private readonly shift: number;

  /**
   * @param ops of the program
   * @param wrongBiases gets the biases that no correction explains
   */
  constructor(
    private readonly graph: Graph,
    private readonly of: Step,
    ops: readonly Op[],
    private readonly tensors: ProgramTensors,
    private readonly decision: Int8Decision,
    private readonly wrongBiases: string[],
  ) {
    this.first = ops[0];
    this.last = ops.at(-1)!;
    this.weighted = of.kind !== 'lookup' && of.quantizable.kind === 'weighted';
    this.shift = this.weighted ? tensors.offsetOf(this.first.inputs[0]) : 0;
  }

  /** Of what it reads. */
  roundingOf(ref: TensorRef): Rounding | undefined {
    const id = this.tensors.find(this.first.inputs, ref);
    if (id === undefined) throw new Error(`${this.first.name} does not read ${refKey(ref)}`);
    const rounding = this.tensors.roundingOf(id);
    if (this.shift === 0 || !rounding) return rounding;
    return (values, shape) => rounding(values, shape).map((x) => x - this.shift);
  }

  /** Of its result. */
  store(): Rounding | undefined {
    return this.tensors.roundingOf(this.last.output);
  }

  /** Of the codes that a table is read by, where one is fused. */
  beforeTable(): Rounding | undefined {
    if (!('activation' in this.last)) return undefined;
    const { tableOffset, preScale, preZeroPoint } = this.last.activation;
    return tableOffset === undefined ? undefined : staticRounding(preScale!, preZeroPoint!);
  }

  /** What a constant that a node reads becomes; undefined: it is read as it is. */
  constantOf(node: GraphNode, index: number, constant: Constant): Constant | undefined {
    const rounding = this.tensors.constantRounding(this.first.inputs[index]);
    if (rounding) {
      const values = rounding(constant.values as Float32Array, constant.shape);
      return { ...constant, values };
    }
    if (!this.weighted || !LAYER.test(node.op)) return undefined;
    if (index === 2) return { ...constant, values: this.bias(node, constant.values as Float32Array) };
    return index === 1 ? this.weights(node, constant) : undefined;
  }

  /** A bias that a node has in the program alone. */
  biasBehind(node: GraphNode): Float32Array | undefined {
    const fused = node.inputs.length > 2 || node.op === 'Conv2DBackpropInput';
    if (!this.weighted || !LAYER.test(node.op) || fused) return undefined;
    const given = 'filter' in this.last && this.last.filter.biasOffset !== undefined;
    return given || this.shift !== 0 ? this.bias(node, new Float32Array()) : undefined;
  }

  private weights(node: GraphNode, constant: Constant): Constant {
    const { lowBit, rounded } = this.decision.weights;
    const [floatInOut, int16] =
      this.of.kind === 'floatInOut' ? [true, this.of.form.precision === 'int16'] : [false, false];
    return storedWeights(node, constant, {
      int16,
      ...(!floatInOut && { encoded: lowBit.get(node.name) }),
      ...(!int16 && { rounded: rounded?.get(node.name) }),
    });
  }

  /** The largest mean of a channel of a layer's input; sequential correction also counts what the layers before do. */
  private largestMean(ref: TensorRef): number {
    const { means, quantizedMeans } = this.decision.observations;
    if (quantizedMeans) return Number.POSITIVE_INFINITY;
    return Math.max(0, ...(means.get(refKey(ref)) ?? []).map(Math.abs));
  }

  /** The bias of the program, which corrects the float one by the mean error of the weights. */
  private bias(node: GraphNode, float: Float32Array): Float32Array {
    const bias = this.tensors.biasOf(this.last);
    if (!bias || node.op === 'Conv2DBackpropInput') return float;
    const constant = this.graph.constants.get(node.inputs[1].node)!;
    const { channelOf } = weightLayout(node, constant);
    const [offset, most] = [bias.values.map(() => 0), bias.values.map(() => 0)];
    const largest = this.largestMean(node.inputs[0]);
    this.weights(node, constant).values.forEach((w, i) => {
      offset[channelOf(i)] += this.shift * w;
      most[channelOf(i)] += Math.abs(w - constant.values[i]) * largest;
    });
    // Codes whose scale is found at run time stand for exact values: only what lies around them is off.
    const exact = this.of.kind === 'floatInOut';
    for (const [c, value] of bias.values.entries()) {
      const correction = Math.abs(value - (float[c] ?? 0) - (exact ? 0 : offset[c]));
      const room = 1.01 * most[c] + bias.step(c) + 1e-5 * (1 + Math.abs(value));
      if (correction > room)
        this.wrongBiases.push(`${node.name}: channel ${c} is off by ${correction}, ${room} allowed`);
    }
    return exact ? bias.values.map((value, c) => value + offset[c]) : bias.values;
  }
}
