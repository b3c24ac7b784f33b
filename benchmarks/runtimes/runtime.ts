import type { Sample } from '../../src/graph/ir';

/** The contestants. */
export const RUNTIMES = {
  ours: 'tfjs-lowbit INT8',
  ortInt8: 'onnxruntime INT8',
  ortFloat: 'onnxruntime float',
  wasm: 'TF.js wasm float',
  cpu: 'TF.js cpu float',
} as const;

export type RuntimeName = keyof typeof RUNTIMES;

export interface Output {
  readonly name: string;
  readonly values: Float32Array;
}

/** A model that is loaded, with an input that is there already. */
export interface LoadedModel {
  /** A prediction: from the input in memory to the outputs in memory. */
  predict(): void | Promise<void>;
  /** Predicts once more; outputs with channels last. */
  outputs(): Promise<Output[]>;
}

export interface Runtime {
  /** What runs, with its version. */
  readonly version: string;
  /** Makes everything ready that does not depend on the model. */
  start(threads: number): Promise<void>;
  load(model: string, sample: Sample): Promise<LoadedModel>;
}
