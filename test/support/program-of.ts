/** A program builder over tensors of given shapes and ranges, and what the reference computes with its program. */
import type { TensorRef } from '../../src/graph/ir';
import { Calibrated } from '../../src/passes/quantize/lower/calibrated';
import { ProgramBuilder } from '../../src/passes/quantize/lower/program-builder';
import type { WeightOptions } from '../../src/passes/quantize/lower/weight-options';
import type { Range } from '../../src/quantization/affine';
import type { Observations } from '../../src/quantization/observations';
import { runReference } from '../kernels/reference/run-reference';

export const ref = (node: string): TensorRef => ({ node, index: 0 });

interface Tensor {
  readonly shape: readonly number[];
  readonly range?: Range;
}

/** @param tensors by node */
export function builderOf(
  tensors: Readonly<Record<string, Tensor>>,
  observed: Partial<Observations> = {},
  options: WeightOptions = {},
): ProgramBuilder {
  const entries = Object.entries(tensors);
  const ranges = new Map(
    entries.flatMap(([node, { range }]) => (range ? [[`${node}:0`, range] as const] : [])),
  );
  const calibrated = new Calibrated({ ranges, means: new Map(), ...observed }, new Map());
  return new ProgramBuilder(
    new Map(entries.map(([node, { shape }]) => [`${node}:0`, shape])),
    calibrated,
    options,
  );
}

/** The values of every tensor of a builder's program: codes, or real values. */
export function valuesOf(
  builder: ProgramBuilder,
  feeds: readonly { shape: readonly number[]; values: ArrayLike<number> }[],
): number[][] {
  const tensors = runReference(
    builder.build(),
    builder.weights.build(),
    feeds.map(({ values }) => Float32Array.from(values)),
    feeds.map(({ shape }) => shape),
  );
  return tensors.map((tensor) => tensor?.values ?? []);
}
