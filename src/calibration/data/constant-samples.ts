/** One number as the data of an input: what a model keeps between calls, before the first, or a setting. */
import { LowbitError } from '../../base/errors';
import type { SampleSource } from '../../graph/samples';

const CONSTANT = /^(-?\d+(?:\.\d+)?(?:e-?\d+)?)(?:@(\d+(?:x\d+)*))?$/i;

const endless = new WeakSet<SampleSource>();

/** Whether a source goes on as long as others do. */
export function isEndless(source: SampleSource): boolean {
  return endless.has(source);
}

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array };

/**
 * Samples that are all the same: a tensor filled with a number, `0.25`, of the shape that the input has, open sizes being
 * 1, or of a given one, `0@1x16x16x8`. An input of unknown rank gets a single number.
 *
 * @returns undefined where the text is no number
 */
export function constantSamples(text: string): SampleSource | undefined {
  const [, number, sizes] = CONSTANT.exec(text) ?? [];
  if (number === undefined) return undefined;
  const source: SampleSource = async function* ([{ name, dtype, shape = [] }]) {
    const dims = sizes ? sizes.split('x').map(Number) : shape.map((d) => (d < 0 ? 1 : d));
    const array = ARRAYS[dtype as keyof typeof ARRAYS];
    if (!array) throw new LowbitError('invalid-argument', `Input '${name}' takes ${dtype}, not a number.`);
    const values = new array(dims.reduce((product, d) => product * d, 1)).fill(Number(number));
    while (true) yield { [name]: { dtype: dtype as keyof typeof ARRAYS, shape: dims, values } };
  };
  endless.add(source);
  return source;
}
