/** Runs a single ONNX node in onnxruntime: an independent judge of a kernel. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import {
  type AttributeValue,
  type ElementType,
  encodeModel,
  type Operand,
} from '../../benchmarks/onnx/model';

const ARRAYS = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array, int32: Int32Array } as const;

/** A node with its data. */
export interface OnnxCase {
  readonly opType: string;
  /** `com.microsoft` for the quantized ops that are no part of the ONNX standard. */
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  /** Data that changes from run to run. */
  readonly inputs: Readonly<Record<string, Operand & { readonly type: keyof typeof ARRAYS }>>;
  /** Parameters, stored in the model. */
  readonly constants: Readonly<Record<string, Operand>>;
  /** Names out of `inputs` and `constants` in the order of the op; '' leaves an optional one out. */
  readonly order: readonly string[];
  readonly outputType: ElementType;
}

function encodeCase({ opType, domain, attributes, order, ...node }: OnnxCase): Uint8Array {
  return encodeModel({
    nodes: [{ opType, domain, attributes, inputs: order, output: 'output' }],
    inputs: Object.entries(node.inputs).map(([name, { type, shape }]) => ({ name, type, shape })),
    outputs: [{ name: 'output', type: node.outputType }],
    constants: new Map(Object.entries(node.constants)),
  });
}

/** @returns the node's output, row-major, and its shape */
export async function runOnnx(node: OnnxCase): Promise<{ values: number[]; shape: number[] }> {
  const session = await InferenceSession.create(encodeCase(node), {
    graphOptimizationLevel: 'disabled',
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const feeds = Object.fromEntries(
    Object.entries(node.inputs).map(([name, { type, shape, values }]) => [
      name,
      new Tensor(type, ARRAYS[type].from(values) as Float32Array, [...shape]),
    ]),
  );
  const { output } = await session.run(feeds);
  const result = { values: Array.from(output!.data as Float32Array), shape: [...output!.dims] };
  await session.release();
  return result;
}
