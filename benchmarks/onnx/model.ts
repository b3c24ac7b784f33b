/** The pieces of an ONNX model, and its bytes. */
import { onnx } from 'onnx-proto';

const ELEMENT_TYPES = {
  float32: onnx.TensorProto.DataType.FLOAT,
  uint8: onnx.TensorProto.DataType.UINT8,
  int8: onnx.TensorProto.DataType.INT8,
  int32: onnx.TensorProto.DataType.INT32,
  int64: onnx.TensorProto.DataType.INT64,
} as const;

export type ElementType = keyof typeof ELEMENT_TYPES;

export interface Operand {
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}

/** A whole number is an INT, a list of them INTS; a real number says so. */
export type AttributeValue = number | readonly number[] | string | { readonly real: number };

export interface OnnxNode {
  readonly opType: string;
  /** `com.microsoft` for the quantized ops that are no part of the ONNX standard. */
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  /** '' leaves an optional one out. */
  readonly inputs: readonly string[];
  readonly output: string;
}

/** An input or output of a model; a string is the name of a dimension that is known at run time only. */
export interface OnnxValue {
  readonly name: string;
  readonly type: ElementType;
  readonly shape?: readonly (number | string)[];
}

export interface OnnxModel {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly constants: ReadonlyMap<string, Operand>;
}

function attributeProto(name: string, value: AttributeValue): onnx.IAttributeProto {
  const { AttributeType } = onnx.AttributeProto;
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if (typeof value === 'string')
    return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  if ('real' in value) return { name, type: AttributeType.FLOAT, f: value.real };
  return { name, type: AttributeType.INTS, ints: [...value] };
}

function rawData({ type, values }: Operand): Uint8Array {
  const bytes = (typed: ArrayBufferView) => new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
  switch (type) {
    case 'float32':
      return bytes(Float32Array.from(values));
    case 'uint8':
      return Uint8Array.from(values);
    case 'int8':
      return bytes(Int8Array.from(values));
    case 'int32':
      return bytes(Int32Array.from(values));
    case 'int64':
      return bytes(BigInt64Array.from(Array.from(values, BigInt)));
  }
}

function tensorProto(name: string, operand: Operand): onnx.ITensorProto {
  const { type, shape } = operand;
  return { name, dims: [...shape], dataType: ELEMENT_TYPES[type], rawData: rawData(operand) };
}

function valueInfo({ name, type, shape }: OnnxValue): onnx.IValueInfoProto {
  const dim = shape?.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: ELEMENT_TYPES[type], ...(dim && { shape: { dim } }) } } };
}

function nodeProto({ opType, domain, attributes, inputs, output }: OnnxNode): onnx.INodeProto {
  return {
    name: output,
    opType,
    domain: domain ?? '',
    input: [...inputs],
    output: [output],
    attribute: Object.entries(attributes ?? {}).map(([name, value]) => attributeProto(name, value)),
  };
}

export function encodeModel({ nodes, inputs, outputs, constants }: OnnxModel): Uint8Array {
  return onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: 17 },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: {
      name: 'graph',
      node: nodes.map(nodeProto),
      input: inputs.map(valueInfo),
      output: outputs.map(valueInfo),
      initializer: [...constants].map(([name, operand]) => tensorProto(name, operand)),
    },
  }).finish();
}
