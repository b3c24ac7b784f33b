/**
 * The graph IR: a TF.js graph model in memory. Nodes keep their TensorFlow op names and attributes, so a graph stays
 * executable by TF.js at every stage between two passes. The IR knows no TF.js.
 */

export type DType = 'float32' | 'int32' | 'bool' | 'string' | 'complex64';

/** One output of a node: `index` 0 for most. */
export interface TensorRef {
  node: string;
  index: number;
}

/** An attribute as graph-model JSON has it (`{"f": 1}`, `{"s": base64}`, `{"list": {"i": [...]}}`...). */
export type RawAttr = Record<string, unknown>;

export interface GraphNode {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly TensorRef[];
  /** Nodes that must run first (`^name` in graph-model JSON); absent on nodes that a pass made. */
  readonly controlInputs?: readonly string[];
  readonly attrs: Readonly<Record<string, RawAttr>>;
}

/** A weight: what a `Const` node of the same name stands for. Strings and complex64 stay raw bytes. */
export interface Constant {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array | Uint8Array;
}

/** A named input or output of the model's signature. */
export interface SignatureEntry {
  /** The user's name for it. */
  readonly name: string;
  readonly ref: TensorRef;
  readonly dtype: DType;
  /** -1: dynamic; undefined: unknown rank. */
  readonly shape?: readonly number[];
  /** Of an input: the model has a value for it, `PlaceholderWithDefault`. */
  readonly optional?: true;
}

/** Bounds of a tensor's real values. */
export interface ValueRange {
  readonly min: number;
  readonly max: number;
}

export interface Graph {
  /** In topological order. */
  readonly nodes: ReadonlyMap<string, GraphNode>;
  readonly constants: ReadonlyMap<string, Constant>;
  readonly inputs: readonly SignatureEntry[];
  readonly outputs: readonly SignatureEntry[];
  /** Ranges that the model itself gives for tensors (`node:index`), in the place of observed ones. */
  readonly ranges?: ReadonlyMap<string, ValueRange>;
  /** What is carried through unread: library, versions, userDefinedMetadata... of the source model.json. */
  readonly source: Readonly<Record<string, unknown>>;
}

/** Dense data on its way into a model: calibration samples, images. */
export interface DenseTensor {
  readonly dtype: 'float32' | 'int32' | 'bool';
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array | Uint8Array;
}

/** One calibration sample (or batch): a tensor for every input of the signature, by the signature's names. */
export type Sample = Readonly<Record<string, DenseTensor>>;

/**
 * Whether a sample's tensor holds strings: `values` is then a list of strings, which nothing but TF.js reads. The types
 * leave them out, as everything else computes with numbers.
 */
export function isStrings({ dtype }: { readonly dtype: string }): boolean {
  return dtype === 'string';
}
