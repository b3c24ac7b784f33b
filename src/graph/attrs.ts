/**
 * Attributes of graph-model JSON, read and made. 64-bit integers come as decimal strings, strings as base64 (or as a
 * list of byte codes), an empty list as `{}`.
 */
import { fromBase64, toBase64 } from '../base/base64';
import type { DType, GraphNode, RawAttr } from './ir';

function decodeString(value: unknown): string | undefined {
  if (typeof value === 'string') return fromBase64(value);
  return Array.isArray(value) ? new TextDecoder().decode(Uint8Array.from(value as number[])) : undefined;
}

function list(attr: RawAttr | undefined): Record<string, unknown> {
  return (attr?.list ?? {}) as Record<string, unknown>;
}

export function stringAttr(node: GraphNode, name: string): string | undefined {
  return decodeString(node.attrs[name]?.s);
}

export function stringsAttr(node: GraphNode, name: string): string[] {
  const values = list(node.attrs[name]).s;
  return Array.isArray(values) ? values.map((v) => decodeString(v) ?? '') : [];
}

/** A list of integers; empty when absent. */
export function intsAttr(node: GraphNode, name: string): number[] {
  const values = list(node.attrs[name]).i;
  return Array.isArray(values) ? values.map(Number) : [];
}

/** A number, stored as `i` or as `f`. */
export function numberAttr(node: GraphNode, name: string): number | undefined {
  const attr = node.attrs[name];
  const value = attr?.i ?? attr?.f;
  return value === undefined || value === null ? undefined : Number(value);
}

export function boolAttr(node: GraphNode, name: string): boolean {
  return node.attrs[name]?.b === true;
}

/** TensorFlow's dtypes, by name and by number, as TF.js maps them. */
const DTYPES: Readonly<Record<string, DType>> = {
  DT_FLOAT: 'float32',
  DT_HALF: 'float32',
  DT_DOUBLE: 'float32',
  DT_INT8: 'int32',
  DT_UINT8: 'int32',
  DT_INT32: 'int32',
  DT_INT64: 'int32',
  DT_BOOL: 'bool',
  DT_STRING: 'string',
  DT_COMPLEX64: 'complex64',
  1: 'float32',
  2: 'float32',
  3: 'int32',
  4: 'int32',
  6: 'int32',
  7: 'string',
  8: 'complex64',
  9: 'int32',
  10: 'bool',
  19: 'float32',
};

const DTYPE_NAMES: Readonly<Record<DType, string>> = {
  float32: 'DT_FLOAT',
  int32: 'DT_INT32',
  bool: 'DT_BOOL',
  string: 'DT_STRING',
  complex64: 'DT_COMPLEX64',
};

/** The dtype behind TensorFlow's name (`DT_FLOAT`) or number (1); undefined for one that TF.js does not know. */
export function parseDType(value: unknown): DType | undefined {
  return DTYPES[String(value)];
}

export function dtypeName(dtype: DType): string {
  return DTYPE_NAMES[dtype];
}

export function dtypeAttr(node: GraphNode, name: string): DType | undefined {
  return parseDType(node.attrs[name]?.type);
}

/** A shape in TensorFlow's form; undefined for an unknown rank, -1 for an unknown dimension. */
export function parseShape(value: unknown): number[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { dim, unknownRank } = value as { dim?: { size?: unknown }[]; unknownRank?: boolean };
  if (unknownRank) return undefined;
  return (dim ?? []).map((d) => Number(d.size ?? 0));
}

export function shapeAttr(node: GraphNode, name: string): number[] | undefined {
  return parseShape(node.attrs[name]?.shape);
}

/** A list of shapes; empty when absent. */
export function shapesAttr(node: GraphNode, name: string): (number[] | undefined)[] {
  const values = list(node.attrs[name]).shape;
  return Array.isArray(values) ? values.map(parseShape) : [];
}

/** A shape as graph-model JSON writes it. */
export function shapeToJson(shape: readonly number[]): { dim: { size: string }[] } {
  return { dim: shape.map((size) => ({ size: String(size) })) };
}

export const attr = {
  string: (value: string): RawAttr => ({ s: toBase64(value) }),
  strings: (values: readonly string[]): RawAttr => ({
    list: { s: values.map(toBase64) },
  }),
  int: (value: number): RawAttr => ({ i: String(value) }),
  ints: (values: readonly number[]): RawAttr => ({ list: { i: values.map(String) } }),
  shapes: (values: readonly (readonly number[] | undefined)[]): RawAttr => ({
    list: { shape: values.map((shape) => (shape ? shapeToJson(shape) : { unknownRank: true })) },
  }),
  float: (value: number): RawAttr => ({ f: value }),
  floats: (values: readonly number[]): RawAttr => ({ list: { f: [...values] } }),
  bool: (value: boolean): RawAttr => ({ b: value }),
  dtype: (dtype: DType): RawAttr => ({ type: dtypeName(dtype) }),
};
