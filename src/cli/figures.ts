/** How commands show sizes, speeds and shares. */
import type { FloatProduct, ProductCounts } from '../evaluation/products';
import { megabytes, percent, table } from './command';

/** `3.12x smaller`, or `1.25x larger`. */
export function sizeRatio(before: number, after: number): string {
  return after <= before
    ? `${(before / after).toFixed(2)}x smaller`
    : `${(after / before).toFixed(2)}x larger`;
}

/** `3.12x faster`, or `1.25x slower`. */
export function speedRatio(speedup: number): string {
  return speedup >= 1 ? `${speedup.toFixed(2)}x faster` : `${(1 / speedup).toFixed(2)}x slower`;
}

export function sizeAfter({ before, after }: { before: number; after: number }): string {
  return `${megabytes(after)} (${sizeRatio(before, after)})`;
}

/** A share of the multiply-accumulates of a model, and whether all of them are known. */
export function workShare(share: number, { incomplete }: ProductCounts): string {
  const unknown = incomplete === 1 ? 'a product has a size' : `${incomplete} products have sizes`;
  return incomplete === 0
    ? percent(share)
    : `${percent(share)} of those known (${unknown} known at run time only)`;
}

const millions = ({ macs, incomplete }: FloatProduct) =>
  `${incomplete ? '>= ' : ''}${(macs / 1e6).toFixed(2)}`;

interface FloatNode {
  readonly name: string;
  readonly op: string;
  readonly reason?: string;
}

/**
 * What stays float: products first, with what they cost, then the rest.
 *
 * @param title of the column of names
 */
export function floatTable(
  title: string,
  { floatProducts }: ProductCounts,
  float: readonly FloatNode[],
): string[] {
  if (floatProducts.length === 0) {
    const plain = float.map(({ name, op, reason = '' }) => [name, op, reason]);
    return plain.length === 0 ? [] : [table([title, 'op', 'why'], plain)];
  }
  const products = new Set(floatProducts.map(({ name }) => name));
  const rows = [
    ...floatProducts.map((product) => [product.name, product.op, millions(product), product.reason]),
    ...float
      .filter(({ name }) => !products.has(name))
      .map(({ name, op, reason = '' }) => [name, op, '', reason]),
  ];
  return [table([title, 'op', 'million multiply-accumulates', 'why'], rows)];
}
