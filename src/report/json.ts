/** JSON has no infinity and no NaN: a signal without noise is written as the string 'Infinity'. */
export function jsonNumber(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}
