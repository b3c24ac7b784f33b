/** Numbers and names as text. */

export const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);
export const percent = (value, digits = 2) => (isNumber(value) ? `${value.toFixed(digits)} %` : '–');
export const times = (value) => (isNumber(value) ? `${value.toFixed(value < 10 ? 1 : 0)}×` : '–');

export function bytes(value) {
  if (!isNumber(value)) return '–';
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} MB`;
  return value >= 1e3 ? `${(value / 1e3).toFixed(1)} kB` : `${value} B`;
}

export function count(value) {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  return value >= 1e3 ? `${(value / 1e3).toFixed(1)} k` : String(value);
}

export function milliseconds(value) {
  if (!isNumber(value)) return '–';
  if (value === 0) return '0';
  return value >= 1 ? `${value.toFixed(2)} ms` : `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} µs`;
}

/** JSON writes infinity as a string. */
export const decibels = (value) => (value === undefined ? undefined : Number(value));
export const showDecibels = (value) => {
  if (value === undefined) return '–';
  return Number(value) === Number.POSITIVE_INFINITY ? 'exact' : `${Number(value).toFixed(1)} dB`;
};

export function level(value) {
  if (value >= 20) return 'good';
  return value >= 10 ? 'fair' : 'bad';
}

/** The end of a long name. */
export const shorten = (name, length) => (name.length > length ? `…${name.slice(1 - length)}` : name);
