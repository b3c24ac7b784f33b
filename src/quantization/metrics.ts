/** How far an approximation is from its reference. */

type Values = ArrayLike<number>;

/** Signal-to-noise of an approximation that comes in pieces: 10 log10(sum x^2 / sum (x - y)^2). */
export class SignalToNoise {
  private signal = 0;
  private noise = 0;

  add(reference: Values, approximation: Values): void {
    for (let i = 0; i < reference.length; i++) this.addOne(reference[i], approximation[i]);
  }

  addOne(reference: number, approximation: number): void {
    this.signal += reference ** 2;
    this.noise += (reference - approximation) ** 2;
  }

  /** Infinity for equal values. */
  get decibels(): number {
    return this.noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(this.signal / this.noise);
  }
}

/** 10 log10(sum x^2 / sum (x - y)^2), in dB; Infinity for equal values. */
export function signalToNoise(reference: Values, approximation: Values): number {
  const sums = new SignalToNoise();
  sums.add(reference, approximation);
  return sums.decibels;
}

/** sum (x - y)^2 / sum x^2; 0 for equal values. */
export function normalisedError(reference: Values, approximation: Values): number {
  return 10 ** (-signalToNoise(reference, approximation) / 10);
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
