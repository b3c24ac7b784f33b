/**
 * Weights that were quantized before: by quantization-aware training, or stored in 8 bits. They lie on a grid, and its
 * step keeps them exactly; another step would round them a second time.
 */

const MAX_CODE = 127;

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

/** The largest code up to `code` for the largest weight with which the sample lies on a grid; 0: none. */
function largestCode(sample: readonly number[], max: number, code: number): number {
  let found = code;
  while (found > 0 && !sample.every((weight) => liesOnGrid(weight, max / found))) found--;
  return found;
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
  const samples = telling(values, channel, maxima);
  const codes = samples.map((sample, c) =>
    sample.length < EVIDENCE ? 0 : largestCode(sample, maxima[c], MAX_CODE),
  );
  // What holds for a sample is checked on all weights of the channel, which a generic channel does not come to.
  let open = new Set([...codes.keys()].filter((c) => codes[c] > 0));
  while (open.size > 0) {
    const failed = new Set<number>();
    for (let i = 0; i < values.length; i++) {
      const c = channel(i);
      if (open.has(c) && !liesOnGrid(values[i], maxima[c] / codes[c])) failed.add(c);
    }
    for (const c of failed) codes[c] = largestCode(samples[c], maxima[c], codes[c] - 1);
    open = new Set([...failed].filter((c) => codes[c] > 0));
  }
  return codes.map((code, c) => (code > 0 ? (maxima[c] / code) * MAX_CODE : undefined));
}
