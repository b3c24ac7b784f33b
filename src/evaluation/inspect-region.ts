/** What is inside a region of a converted model: every op of its native program, in the order of execution. */

import { withCode } from '../base/coded-errors';
import { LowbitError } from '../base/errors';
import { artefactMetadata } from '../graph/artefact';
import { refKey } from '../graph/edit';
import { readModel } from '../graph/read-model';
import {
  decodeProgram,
  type FilterRef,
  type Op,
  OpKind,
  type TensorSpec,
  TensorType,
  WEIGHT_BITS,
} from '../program/program';
import { regionProgram, regionsOf } from './layer-tensors';

export interface RegionTensor {
  /** `int8`, `int16`, `dynamic int8`, `int32` or `float32`. */
  readonly precision: string;
  /** -1 for a dimension that is known at run time only. */
  readonly shape: readonly number[];
  /** Real units per step, and the code of zero; of `int8` alone: the others have them at run time, or none. */
  readonly scale?: number;
  readonly zeroPoint?: number;
}

export interface RegionOp {
  /** Name of the node of the float model that it computes, or a part of. */
  readonly name: string;
  readonly op: string;
  /** What it reads: an op of the region by its index, or an input of the region by its name. */
  readonly inputs: readonly (number | string)[];
  readonly output: RegionTensor;
  readonly bitsOfWeights?: number;
}

export interface RegionReport {
  readonly region: string;
  readonly inputs: readonly (RegionTensor & { readonly name: string })[];
  readonly ops: readonly RegionOp[];
  /** Indices of the ops whose results leave the region; names of inputs that do as they came. */
  readonly outputs: readonly (number | string)[];
}

const PRECISIONS: Readonly<Record<TensorType, string>> = {
  [TensorType.Float32]: 'float32',
  [TensorType.Int8]: 'int8',
  [TensorType.Int16]: 'int16',
  [TensorType.Int32]: 'int32',
  [TensorType.DynamicInt8]: 'dynamic int8',
};

function describe({ type, shape, scale, zeroPoint }: TensorSpec): RegionTensor {
  const precision = PRECISIONS[type];
  return type === TensorType.Int8 ? { precision, shape, scale, zeroPoint } : { precision, shape };
}

function bitsOfWeights(op: Op): number | undefined {
  return 'filter' in op ? WEIGHT_BITS[(op.filter as FilterRef).format] : undefined;
}

async function inspectIn(location: string, name: string): Promise<RegionReport> {
  const graph = await readModel(location, { converted: true });
  artefactMetadata(graph, location);
  const regions = regionsOf(graph);
  const node = regions.find((region) => region.name === name);
  if (!node) {
    const names = regions.map((region) => region.name).join(', ');
    throw new LowbitError(
      'invalid-argument',
      `${location} has no region '${name}'; ${names ? `its regions are ${names}` : 'every op is a node of its graph'}.`,
    );
  }
  const { inputs, words } = regionProgram(graph, node);
  const { tensors, ops, ...ids } = decodeProgram(words);
  const sources = new Map<number, number | string>([
    ...ids.inputs.map((id, i) => [id, refKey(inputs[i])] as const),
    ...ops.map((op, i) => [op.output, i] as const),
  ]);
  return {
    region: name,
    inputs: ids.inputs.map((id, i) => ({ name: refKey(inputs[i]), ...describe(tensors[id]) })),
    ops: ops.map((op) => {
      const bits = bitsOfWeights(op);
      return {
        name: op.name,
        op: OpKind[op.kind],
        inputs: op.inputs.map((id) => sources.get(id)!),
        output: describe(tensors[op.output]),
        ...(bits !== undefined && { bitsOfWeights: bits }),
      };
    }),
    outputs: ids.outputs.map((id) => sources.get(id)!),
  };
}

/**
 * Reads the native program of a region.
 *
 * @param location path or file URL of a converted model's model.json
 * @param region name of a node `QuantizedRegion` of its graph
 * @throws LowbitError 'invalid-argument' for a name that no region has, 'io', 'invalid-weights', 'invalid-model'
 */
export async function inspectRegion(location: string, region: string): Promise<RegionReport> {
  return withCode(`Inspecting ${location}`, () => inspectIn(location, region));
}
