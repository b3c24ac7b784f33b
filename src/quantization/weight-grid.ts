/**
 * Weights that were quantized before: by quantization-aware training, or stored in 8 bits. They lie on a grid, and its
 * step keeps them exactly; another step would round them a second time.
 */

const MAX_CODE = 127;

/** The farthest from zero that a code of 8 bits may be, with zero at one end. */
const MAX_STORED = 255;

/** So many weights, beside the largest and zeros, do not lie on a grid by chance. */
const EVIDENCE = 4;

/** Weights of a channel looked at before all of them are. */
const SAMPLE = 16;

/** How far from a whole number of steps a weight may lie: float32 leaves about 2^-17 of a step at code 127. */
const TOLERANCE = 2 ** -10;

function liesOnGrid(weight: number, step: number): boolean {
  return Math.abs(weight / step - Math.round(weight / step)) < TOLERANCE;
}

/** The first weights of each channel that tell a grid, up to `SAMPLE`. */
function telling(
  values: Float32Array,
  channel: (i: number) => number,
  maxima: Float64Array,
): readonly (readonly number[])[] {
  const samples = Array.from(maxima, (): number[] => []);
  for (let i = 0; i < values.length; i++) {
    const c = channel(i);
    const weight = values[i];
    if (samples[c].length < SAMPLE && weight !== 0 && Math.abs(weight) < maxima[c]) samples[c].push(weight);
  }
  return samples;
}

/** The first of some codes for the largest weight with which the sample lies on a grid; 0: none. */
function firstCode(sample: readonly number[], max: number, codes: Iterable<number>): number {
  for (const code of codes) if (sample.every((weight) => liesOnGrid(weight, max / code))) return code;
  return 0;
}

function* downFrom(code: number): Generator<number> {
  for (let each = code; each > 0; each--) yield each;
}

function* upFrom(code: number, last: number): Generator<number> {
  for (let each = code; each <= last; each++) yield each;
}

/**
 * Codes of the largest weight of each channel whose grid holds all weights of the channel, found from a sample of them;
 * 0: none.
 *
 * @param next the codes to try after one that failed, 0 at first
 */
function provenCodes(
  samples: readonly (readonly number[] | undefined)[],
  values: Float32Array,
  channel: (i: number) => number,
  maxima: Float64Array,
  next: (failed: number) => Iterable<number>,
): number[] {
  const codes = samples.map((sample, c) => (sample ? firstCode(sample, maxima[c], next(0)) : 0));
  // What holds for a sample is checked on all weights of the channel, which a generic channel does not come to.
  let open = new Set([...codes.keys()].filter((c) => codes[c] > 0));
  while (open.size > 0) {
    const failed = new Set<number>();
    for (let i = 0; i < values.length; i++) {
      const c = channel(i);
      if (open.has(c) && !liesOnGrid(values[i], maxima[c] / codes[c])) failed.add(c);
    }
    for (const c of failed) codes[c] = firstCode(samples[c]!, maxima[c], next(codes[c]));
    open = new Set([...failed].filter((c) => codes[c] > 0));
  }
  return codes;
}

/**
 * The bound of each channel, 127 steps, that keeps all of its weights; undefined where they lie on no grid of at most
 * 127 steps on either side of zero. A channel that lies on none costs little more than a look at one weight a grid.
 *
 * @param channel channel of each flat index of `values`
 * @param maxima largest |w| of each channel
 */
export function gridBounds(
  values: Float32Array,
  channel: (i: number) => number,
  maxima: Float64Array,
): (number | undefined)[] {
  const samples = telling(values, channel, maxima).map((sample) =>
    sample.length < EVIDENCE ? undefined : sample,
  );
  const codes = provenCodes(samples, values, channel, maxima, (failed) =>
    downFrom(failed === 0 ? MAX_CODE : failed - 1),
  );
  return codes.map((code, c) => (code > 0 ? (maxima[c] / code) * MAX_CODE : undefined));
}

/**
 * The steps of a filter that was stored in 8 bits, one a channel, the widest that keep all of its weights; undefined for
 * a filter that was not. Channels of few values are taken for what the others are.
 */
export function storedSteps(
  values: Float32Array,
  channel: (i: number) => number,
  maxima: Float64Array,
): number[] | undefined {
  const samples = telling(values, channel, maxima);
  const evident = samples.map((sample) => (sample.length < EVIDENCE ? undefined : sample));
  if (!evident.some((sample) => sample)) return undefined;
  const next = (failed: number) => upFrom(failed + 1, MAX_STORED);
  // Most filters were not, and few of their channels tell it as well as all of them.
  const first = evident.map((sample, c) => !sample || firstCode(sample, maxima[c], next(0)) > 0);
  if (first.includes(false)) return undefined;
  const alive = samples.map((sample, c) => (maxima[c] > 0 ? sample : undefined));
  const codes = provenCodes(alive, values, channel, maxima, next);
  if (codes.some((code, c) => code === 0 && maxima[c] > 0)) return undefined;
  return codes.map((code, c) => (code > 0 ? maxima[c] / code : 0));
}
