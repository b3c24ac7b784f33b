/** How far an approximation is from what it stands for. */

type Values = ArrayLike<number>;

/** 10 log10(sum x^2 / sum (x - y)^2), in dB; Infinity for equal values. */
export function signalToNoise(reference: Values, approximation: Values): number {
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < reference.length; i++) {
    signal += reference[i] ** 2;
    noise += (reference[i] - approximation[i]) ** 2;
  }
  return noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise);
}

/** Cosine of the angle between two vectors; 1 when both are zero. */
export function cosineSimilarity(a: Values, b: Values): number {
  let dot = 0;
  let squaresA = 0;
  let squaresB = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    squaresA += a[i] ** 2;
    squaresB += b[i] ** 2;
  }
  if (squaresA === 0 && squaresB === 0) return 1;
  return dot / Math.sqrt(squaresA * squaresB || 1);
}

/** max |x - y| */
export function maxError(reference: Values, approximation: Values): number {
  let error = 0;
  for (let i = 0; i < reference.length; i++)
    error = Math.max(error, Math.abs(reference[i] - approximation[i]));
  return error;
}
