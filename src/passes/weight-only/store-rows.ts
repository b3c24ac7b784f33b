/** Weights as rows of a matrix that share a scale, in INT8 or in a low-bit format. */
import type { StoredFilterRef, WeightsBuilder } from '../../program/program';
import { type FilterCodes, quantizeFilter } from '../../quantization/affine';
import { decodeMatrix } from '../../quantization/formats/decode';
import { encodeMatrix } from '../../quantization/formats/encode';
import { SignalToNoise, signalToNoise } from '../../quantization/metrics';
import { weightsPerChannel } from '../linear-op';
import type { EncodedLayer, LayerFormat } from '../quantize/lower/encode-layer';
import { reorder } from '../quantize/lower/filter-order';
import { appendInt8Filter, appendLowBitFilter } from '../quantize/lower/filters';
import type { Table, Weighted } from './find';

export interface Rows {
  /** [rows][depth] */
  readonly values: Float32Array;
  readonly rows: number;
  readonly depth: number;
}

export function rowsOf(weighted: Weighted): Rows {
  if (weighted.kind === 'product')
    return {
      values: reorder(weighted.op),
      rows: weighted.op.channels,
      depth: weightsPerChannel(weighted.op),
    };
  const { values, shape } = weighted.constant;
  return { values: values as Float32Array, rows: shape[0], depth: shape[1] };
}

/** In INT8, each with a scale of its own. */
function quantizeRows({ values, rows, depth }: Rows): FilterCodes {
  return quantizeFilter(values, (i) => Math.floor(i / depth), rows, undefined, 1);
}

/** Signal-to-noise of rows in INT8, in dB. */
export function fidelityOfRows({ values, depth }: Rows, { codes, scales }: FilterCodes): number {
  const noise = new SignalToNoise();
  for (let i = 0; i < codes.length; i++) noise.addOne(values[i], codes[i] * scales[Math.floor(i / depth)]);
  return noise.decibels;
}

/** The rows of a table in a low-bit format. */
export function encodeTable(table: Table, { format, group }: LayerFormat): EncodedLayer {
  const { values, rows, depth } = rowsOf(table);
  const matrix = encodeMatrix(format, values, rows, depth, { group });
  return { matrix, signalToNoise: signalToNoise(values, decodeMatrix(matrix)) };
}

interface Stored {
  readonly filter: StoredFilterRef;
  /** Of the stored weights, in dB. */
  readonly signalToNoise: number;
}

/** Appends rows to a program's weights: encoded ones, or in INT8. */
export function storeRows(
  rows: Rows,
  encoded: EncodedLayer | undefined,
  weights: WeightsBuilder,
  bias?: Float32Array,
): Stored {
  if (encoded) {
    const { matrix, signalToNoise } = encoded;
    return { filter: appendLowBitFilter(weights, matrix, bias), signalToNoise };
  }
  const filter = quantizeRows(rows);
  return { filter: appendInt8Filter(weights, filter, bias), signalToNoise: fidelityOfRows(rows, filter) };
}
