import { LowbitError } from './errors';

/**
 * The entry of a map that must have one.
 *
 * @throws LowbitError 'internal' naming the key, where it has none
 */
export function entryOf<K, V>(map: ReadonlyMap<K, V | undefined>, key: K): V {
  const value = map.get(key);
  if (value !== undefined) return value;
  throw new LowbitError('internal', `Nothing is known of '${key}'. Please report this with the model.`);
}
