/** A step of a region: how what it reads, its weights and its result are rounded. */
import type { Int8Decision } from '../../../../src/conversion/stage-results';
import { stringAttr } from '../../../../src/graph/attrs';
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

  /** The bias of the program, which corrects the float one by the mean error of the weights. */
  private bias(node: GraphNode, float: Float32Array): Float32Array {
    const bias = this.tensors.biasOf(this.last);
    if (!bias || node.op === 'Conv2DBackpropInput') return float;
    const constant = this.graph.constants.get(node.inputs[1].node)!;
    const { channelOf, inputOf } = weightLayout(node, constant);
    const [offset, lost, most] = [0, 1, 2].map(() => new Float64Array(bias.values.length));
    const { means, quantizedMeans } = this.decision.observations;
    const mean = means.get(refKey(node.inputs[0])) ?? [];
    this.weights(node, constant).values.forEach((w, i) => {
      const error = (constant.values[i] - w) * (mean[inputOf(i)] ?? 0);
      offset[channelOf(i)] += this.shift * w;
      lost[channelOf(i)] += error;
      most[channelOf(i)] += Math.abs(error);
    });
    // Codes whose scale is found at run time stand for exact values: only what lies around them is off.
    const exact = this.of.kind === 'floatInOut';
    // Beside the border, weights meet padding; int16 weights are rounded here a little differently; and sequential correction
    // counts what the layers before do.
    const padded = node.op.includes('Conv') && stringAttr(node, 'padding') !== 'VALID';
    const int16 = this.of.kind === 'floatInOut' && this.of.form.precision === 'int16';
    for (const [c, value] of bias.values.entries()) {
      const correction = value - (float[c] ?? 0) - (exact ? 0 : offset[c]);
      const rounding = bias.step(c) + 1e-5 * (1 + Math.abs(value));
      const wrong =
        padded || int16
          ? Math.abs(correction) > 1.01 * most[c] + rounding
          : Math.abs(correction - lost[c]) > 0.01 * most[c] + rounding;
      if (wrong && !quantizedMeans)
        this.wrongBiases.push(
          `${node.name}: channel ${c} is corrected by ${correction}, its weights lose ${lost[c]}`,
        );
    }
    return exact ? bias.values.map((value, c) => value + offset[c]) : bias.values;
  }
}
