/**
 * The configuration of a layer, as Keras and TF.js write it: keys in snake_case (TF.js reads camelCase too), null for
 * what was left to the default, one number where a list repeats it.
 */
import { LowbitError } from '../../base/errors';
import type { Json } from '../json';

/** `channelsLast` and `channels_last` are one name. */
export function snakeCase(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
}

function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

export class LayerConfig {
  constructor(
    readonly layer: string,
    readonly type: string,
    private readonly values: Json,
  ) {}

  /** An error that names the layer and its type. */
  error(message: string): LowbitError {
    return new LowbitError('invalid-model', `Layer '${this.layer}' (${this.type}): ${message}`);
  }

  /** undefined for null: both mean the default. */
  get(key: string): unknown {
    return this.values[key] ?? this.values[camelCase(key)] ?? undefined;
  }

  number(key: string, byDefault?: number): number {
    const value = this.get(key) ?? byDefault;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.expected('a number', key, value);
    return value;
  }

  integer(key: string, byDefault?: number): number {
    const value = this.get(key) ?? byDefault;
    if (!Number.isSafeInteger(value)) throw this.expected('an integer', key, value);
    return value as number;
  }

  flag(key: string, byDefault: boolean): boolean {
    const value = this.get(key) ?? byDefault;
    if (typeof value !== 'boolean') throw this.expected('true or false', key, value);
    return value;
  }

  /** A word out of a few, in snake_case. */
  word<T extends string>(key: string, known: readonly T[], byDefault: T): T {
    const value = this.get(key) ?? byDefault;
    const word = typeof value === 'string' ? snakeCase(value) : value;
    const found = known.find((k) => k === word);
    if (found === undefined) throw this.expected(known.map((k) => `'${k}'`).join(' or '), key, value);
    return found;
  }

  /** `count` positive integers; one number stands for all of them. */
  sizes(key: string, count: number, byDefault?: readonly number[] | number): number[] {
    const value = this.get(key) ?? byDefault;
    const list = Array.isArray(value) ? value : new Array(count).fill(value);
    if (list.length !== count || !list.every((v) => Number.isSafeInteger(v) && v > 0)) {
      throw this.expected(`${count} positive integer${count > 1 ? 's' : ''}`, key, value);
    }
    return list;
  }

  /** [[top, bottom], [left, right]]; from one number, or one for each side of an axis. */
  borders(key: string, byDefault: number): [number, number][] {
    const value = this.get(key) ?? byDefault;
    const sides = Array.isArray(value) ? value : [value, value];
    const pairs = sides.map((v) => (Array.isArray(v) ? v : [v, v]));
    const counts = pairs.flat().every((v) => Number.isSafeInteger(v) && v >= 0);
    if (pairs.length !== 2 || pairs.some((p) => p.length !== 2) || !counts) {
      throw this.expected('a number, two, or two pairs, none negative,', key, value);
    }
    return pairs as [number, number][];
  }

  /** A list of integers that may be negative; one number is a list of one. */
  integers(key: string, byDefault?: readonly number[]): number[] {
    const value = this.get(key) ?? byDefault;
    const list = Array.isArray(value) ? value : [value];
    if (!list.every(Number.isSafeInteger)) throw this.expected('integers', key, value);
    return list;
  }

  /** Refuses an option that TF.js drops silently, and computes something else than the layer was trained for. */
  refuse(key: string, neutral: unknown, reason = 'TF.js ignores it'): void {
    const value = this.get(key);
    const same = [value].flat().every((v) => v === undefined || v === neutral);
    if (!same) throw this.error(`its ${key} is ${JSON.stringify(value)}, which is not supported: ${reason}.`);
  }

  expected(what: string, key: string, value: unknown): LowbitError {
    return this.error(`expected ${what} for ${key} but found ${JSON.stringify(value) ?? 'nothing'}.`);
  }
}
