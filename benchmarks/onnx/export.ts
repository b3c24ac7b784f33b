/**
 * A TF.js graph as an ONNX model with channels first: in float32, or in INT8 as QuantizeLinear and DequantizeLinear
 * around float ops (QDQ), which onnxruntime fuses into its integer ops. Activations are uint8 with the scales of our own
 * calibration, weights int8 with the scales a channel of our own converter, biases int32 and corrected as ours are.
 */

import { output, refKey } from '../../src/graph/edit';
import { inferShapes, type Shape } from '../../src/graph/infer-shapes';
import type { Graph, GraphNode } from '../../src/graph/ir';
import type { QuantizationPlan } from '../../src/passes/quantize/plan/plan';
import type { AffineParams } from '../../src/program/affine-params';
import { chooseAffine } from '../../src/quantization/affine';
import type { Observations } from '../../src/quantization/observations';
import { OnnxBuilder, type Quantization } from './builder';
import { permute, TO_CHANNELS_FIRST } from './layout';
import { encodeModel, type OnnxValue } from './model';
import { translate } from './translate';

/** Name of the batch dimension, where it is dynamic. */
export const BATCH = 'batch';

/** Ops that hand codes on as they are: result and input have the same scale. */
const SAME_CODES = new Set(['MaxPool', 'Reshape', 'Squeeze', 'ExpandDims', 'Pad', 'StridedSlice']);

/** What our own converter plans and observed. */
export interface QuantizedExport {
  readonly plan: QuantizationPlan;
  readonly observations: Observations;
  /** 7-bit weights, as onnxruntime advises for machines without VNNI (`reduce_range`). */
  readonly narrowWeights: boolean;
}

function quantizationOf(graph: Graph, { plan, observations, narrowWeights }: QuantizedExport): Quantization {
  const { ranges, means } = observations;
  const params = new Map<string, AffineParams>();
  const weighted = new Set<string>();
  const add = (key: string) => params.set(key, chooseAffine(ranges.get(key)!));
  for (const region of plan.regions) {
    for (const ref of region.inputs) add(refKey(ref));
    for (const step of region.steps) {
      if (step.kind === 'lookup') {
        add(refKey(step.to));
        continue;
      }
      if (step.kind === 'floatInOut') continue;
      const { fused, result, float } = step.store;
      if (step.quantizable.kind === 'weighted') weighted.add(step.node.name);
      if (fused && !fused.clamp) add(refKey(fused.before));
      if (!float) add(refKey(result));
    }
  }
  for (const node of graph.nodes.values()) {
    const key = refKey(output(node.name));
    const input = params.get(refKey(node.inputs[0] ?? output('')));
    if (SAME_CODES.has(node.op) && input && params.has(key)) params.set(key, input);
  }
  return { params, weighted, means, narrowWeights };
}

function valueInfo(name: string, shape: Shape | undefined): OnnxValue {
  const ordered = shape?.length === 4 ? permute(shape, TO_CHANNELS_FIRST) : shape;
  const dims = ordered?.map((size, axis) => (size >= 0 ? size : axis === 0 ? BATCH : `${name}_${axis}`));
  return { name, type: 'float32', ...(dims && { shape: dims }) };
}

const isSource = (node: GraphNode) => node.op === 'Const' || node.op.startsWith('Placeholder');

/**
 * @param graph optimized (src/passes/pipeline.ts), so that weights are constants
 * @param quantized makes the model INT8
 * @returns the bytes of the model; its inputs and outputs have the names of the graph's signature, and channels first
 * @throws Error naming a node that has no translation
 */
export function exportOnnx(graph: Graph, quantized?: QuantizedExport): Uint8Array {
  const shapes = inferShapes(graph);
  const quantization = quantized && quantizationOf(graph, quantized);
  const builder = new OnnxBuilder(graph, shapes, quantization);
  for (const { name, ref } of graph.inputs) builder.define(ref, name);
  for (const node of graph.nodes.values()) {
    if (!isSource(node)) builder.define(output(node.name), translate(node, builder));
  }
  for (const { name, ref } of graph.outputs) {
    builder.nodes.push({
      opType: 'Identity',
      inputs: [builder.read(ref, builder.shape(ref).length)],
      output: name,
    });
  }
  return encodeModel({
    nodes: builder.nodes,
    inputs: graph.inputs.map(({ name, ref }) => valueInfo(name, shapes.get(refKey(ref)))),
    outputs: graph.outputs.map(({ name, ref }) => valueInfo(name, shapes.get(refKey(ref)))),
    constants: builder.constants,
  });
}
