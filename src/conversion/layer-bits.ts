import type { Constant } from '../graph/ir';
import { type LinearOp, weightsPerChannel } from '../passes/linear-op';
import { bitsPerWeight } from '../quantization/formats/bits-per-weight';
import type { WeightsName } from '../quantization/layer-weights';

/** Stored bits of a weight of a layer, in a format or in INT8, scales counted. */
export function bitsOfLayer(
  op: Pick<LinearOp, 'filter' | 'channels'>,
  { format, group }: { format: WeightsName; group: number } = { format: 'int8', group: 0 },
): number {
  const depth = weightsPerChannel(op);
  return format === 'int8' ? 8 + 32 / depth : bitsPerWeight({ format, rows: op.channels, depth, group });
}

/** The same of a table, whose rows take the place of channels. */
export function bitsOfTable(filter: Constant, format?: { format: WeightsName; group: number }): number {
  return bitsOfLayer({ filter, channels: filter.shape[0] }, format);
}

/** The same of a layer with int16 activations, whose weights are int16 too; stored in 8 bits they have zero points. */
export function bitsOfInt16Layer(op: Pick<LinearOp, 'filter' | 'channels'>, inEightBits: boolean): number {
  const depth = weightsPerChannel(op);
  return inEightBits ? 8 + (32 + 16) / depth : 16 + 32 / depth;
}
