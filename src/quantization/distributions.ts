/** Numbers of known distributions, for what a format's error on them is; the same for the same seed. */

// Bound here: in a sandbox, such as a test's, globals are slow to look up.
const { abs, cos, imul, log, PI, sign, sqrt } = Math;

/** Mulberry32: a function that draws from [0, 1). */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function drawn(count: number, draw: () => number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = draw();
  return values;
}

/** Uniform in [0, 1). */
export function uniform(count: number, seed: number): Float64Array {
  return Float64Array.from({ length: count }, generator(seed));
}

/** N(0, 1) (Box and Muller 1958). */
export function gaussian(count: number, seed: number): Float32Array {
  const next = generator(seed);
  return drawn(count, () => sqrt(-2 * log(1 - next())) * cos(2 * PI * next()));
}

/** Laplace's distribution of variance 1, by the inverse of its distribution function. */
export function laplace(count: number, seed: number): Float32Array {
  const next = generator(seed);
  return drawn(count, () => {
    const centred = next() - 0.5;
    return (-sign(centred) * log(1 - 2 * abs(centred))) / sqrt(2);
  });
}
