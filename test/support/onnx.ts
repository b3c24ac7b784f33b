/** Runs a single ONNX node in onnxruntime: an independent judge of a kernel. */
import { onnx } from 'onnx-proto';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const ELEMENT_TYPES = {
  float32: onnx.TensorProto.DataType.FLOAT,
  uint8: onnx.TensorProto.DataType.UINT8,
  int8: onnx.TensorProto.DataType.INT8,
  int32: onnx.TensorProto.DataType.INT32,
} as const;

const ARRAYS = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array, int32: Int32Array } as const;

export interface Operand {
  readonly type: keyof typeof ELEMENT_TYPES;
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}

export interface OnnxNode {
  readonly opType: string;
  /** `com.microsoft` for the quantized ops that are no part of the ONNX standard. */
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, number | readonly number[] | string>>;
  /** Data that changes from run to run. */
  readonly inputs: Readonly<Record<string, Operand>>;
  /** Parameters, stored in the model. */
  readonly constants: Readonly<Record<string, Operand>>;
  /** Names out of `inputs` and `constants` in the order of the op; '' leaves an optional one out. */
  readonly order: readonly string[];
  readonly outputType: Operand['type'];
}

function attributeProto(name: string, value: number | readonly number[] | string): onnx.IAttributeProto {
  const { AttributeType } = onnx.AttributeProto;
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if (typeof value === 'string')
    return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  return { name, type: AttributeType.INTS, ints: [...value] };
}

function initializer(name: string, { type, shape, values }: Operand): onnx.ITensorProto {
  const data = Array.from(values);
  const dims = [...shape];
  return {
    name,
    dims,
    dataType: ELEMENT_TYPES[type],
    [type === 'float32' ? 'floatData' : 'int32Data']: data,
  };
}

function valueInfo(name: string, { type, shape }: Operand): onnx.IValueInfoProto {
  const dim = shape.map((dimValue) => ({ dimValue }));
  return { name, type: { tensorType: { elemType: ELEMENT_TYPES[type], shape: { dim } } } };
}

function encodeModel(node: OnnxNode): Uint8Array {
  const model: onnx.IModelProto = {
    irVersion: 8,
    opsetImport: [
      { domain: '', version: 17 },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: {
      name: node.opType,
      node: [
        {
          opType: node.opType,
          domain: node.domain ?? '',
          input: [...node.order],
          output: ['output'],
          attribute: Object.entries(node.attributes ?? {}).map(([name, value]) =>
            attributeProto(name, value),
          ),
        },
      ],
      input: Object.entries(node.inputs).map(([name, operand]) => valueInfo(name, operand)),
      output: [{ name: 'output', type: { tensorType: { elemType: ELEMENT_TYPES[node.outputType] } } }],
      initializer: Object.entries(node.constants).map(([name, operand]) => initializer(name, operand)),
    },
  };
  return onnx.ModelProto.encode(model).finish();
}

/** @returns the node's output, row-major, and its shape */
export async function runOnnx(node: OnnxNode): Promise<{ values: number[]; shape: number[] }> {
  const session = await InferenceSession.create(encodeModel(node), {
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
