/** Draws random filters of 2, 3 and 4 bits a weight. Extremes come up as often as ordinary values. */
import {
  type LowBitFilterRef,
  type LowBitFormat,
  WEIGHT_BITS,
  WeightFormat,
} from '../../src/program/program';
import type { Drawer } from './draw';
import type { Random } from './random';

/** Levels in even steps, as many as there are codes. */
function evenLevels(random: Random, count: number): number[] {
  const step = random.pick([1, 2, random.int(1, Math.floor(126 / (count - 1))), -1]);
  const span = step * (count - 1);
  const first = random.int(Math.max(-63, -63 - span), Math.min(63, 63 - span));
  return Array.from({ length: count }, (_, code) => first + step * code);
}

function drawLevels({ random, style }: Drawer, format: LowBitFormat): Int8Array {
  const count = format === WeightFormat.Trellis2 ? 16 : 2 ** WEIGHT_BITS[format];
  const levels = new Int8Array(16);
  const reach = random.pick([3, 15, 31, 63]);
  if (format !== WeightFormat.Trellis2 && random.chance(0.5)) levels.set(evenLevels(random, count));
  else if (style === 'extreme') levels.set(random.ints(count, 0, 1).map((bit) => (bit ? reach : -reach)));
  else levels.set(random.ints(count, -reach, reach));
  return levels;
}

/** Codes packed as WeightFormat tells, row by row. */
function drawCodes({ random, style }: Drawer, bits: number, rows: number, depth: number): Uint8Array {
  const rowBytes = bits === 3 ? 3 * Math.ceil(depth / 8) : Math.ceil((depth * bits) / 8);
  const codes = new Uint8Array(rows * rowBytes);
  const top = 2 ** bits - 1;
  for (let row = 0; row < rows; ++row) {
    const same = style === 'extreme' && random.chance(0.5) ? random.pick([0, top]) : undefined;
    for (let k = 0; k < depth; ++k) {
      const code = same ?? random.int(0, top);
      for (let bit = 0; bit < bits; ++bit) {
        const at = k * bits + bit;
        codes[row * rowBytes + (at >> 3)]! |= ((code >> bit) & 1) << (at & 7);
      }
    }
  }
  return codes;
}

/** Bits of a scale: ordinary numbers within a few powers of two, 0, numbers without a leading 1, the greatest; or small. */
function drawScale({ random, style }: Drawer): number {
  if (random.chance(0.1)) return random.pick([0, 1, 0x3ff, 0x400, 0x7bff, 0x8001, 0x83ff, 0xfbff]);
  const exponent = random.int(8, 16);
  return (exponent << 10) | (style === 'small' ? 0 : random.int(0, 0x3ff));
}

/** Appends a random filter with its scales, its levels and a bias. */
export function drawLowBitFilter(
  drawer: Drawer,
  format: LowBitFormat,
  rows: number,
  depth: number,
): LowBitFilterRef {
  const { random, builder } = drawer;
  const group = random.pick([0, 32, 64, 96, 128, 256]);
  const groups = Math.ceil(depth / (group || depth));
  const scales = Uint16Array.from({ length: rows * groups }, () => drawScale(drawer));
  const bias = Float32Array.from({ length: rows }, () => random.real(-100, 100));
  return {
    format,
    filterOffset: builder.weights.append(drawCodes(drawer, WEIGHT_BITS[format], rows, depth)),
    biasOffset: random.chance(0.8) ? builder.weights.append(bias) : undefined,
    scaleOffset: builder.weights.append(scales),
    levelsOffset: builder.weights.append(drawLevels(drawer, format)),
    group,
    unit: random.pick([1, 2 ** -8, 2 ** 10, Math.fround(Math.PI / 3)]),
  };
}
