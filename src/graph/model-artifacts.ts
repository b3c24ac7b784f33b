/** A TF.js model in memory, as far as the reader and the writer know it; `io.ModelArtifacts` of TF.js fits. */
import type { DType } from './ir';

export interface WeightEntry {
  name: string;
  shape: number[];
  dtype: DType;
  quantization?:
    | { readonly dtype: 'float16' }
    | { readonly dtype: 'uint8' | 'uint16'; readonly scale: number; readonly min: number };
}

/** What the reader takes: model.json without its manifest, and the weights in pieces. */
export interface ModelArtifacts {
  readonly modelTopology?: object;
  readonly weightSpecs?: readonly object[];
  /** Laid end to end, in the order of the specs. */
  readonly weightData?: ArrayBuffer | ArrayBuffer[];
  readonly getWeightStream?: () => ReadableStream<ArrayBuffer>;
}

/** What the writer gives. */
export interface GraphModelArtifacts {
  modelTopology: object;
  format: string;
  signature: object;
  userDefinedMetadata?: Record<string, object>;
  /** The graph that fills tables, and what it gives. */
  modelInitializer?: object;
  initializerSignature?: object;
  weightSpecs: WeightEntry[];
}
