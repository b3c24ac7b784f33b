import { freemem } from 'node:os';
import { checkArgument } from '../base/errors';
import { type ExpertIndex, pageAligned } from './store/container';

const GIB = 2 ** 30;

/**
 * Bytes for experts on common devices, with room left for the system, the runtime and the rest of the model: half of a
 * Raspberry Pi 5 with 4 GiB, the limit of one application on phones, a quarter of a laptop with 16 GiB, half of the 2
 * GiB that a browser guarantees to a tab.
 */
export const MEMORY_PRESETS = {
  'raspberry-pi-5': 2 * GIB,
  phone: 1 * GIB,
  laptop: 4 * GIB,
  browser: 1 * GIB,
} as const;

export type MemoryPreset = keyof typeof MEMORY_PRESETS;

/** Share of the available memory that `auto` uses. */
const SHARE = 0.5;

/**
 * A budget for experts in bytes.
 *
 * @param preset a kind of device, or `auto`: half of the memory available to this process (of the machine or its
 *   container)
 */
export function memoryBudget(preset: MemoryPreset | 'auto'): number {
  if (preset !== 'auto') {
    const names = Object.keys(MEMORY_PRESETS);
    checkArgument(names.includes(preset), 'the memory preset', `auto, ${names.join(', ')}`, preset);
    return MEMORY_PRESETS[preset];
  }
  return Math.floor(SHARE * (process.availableMemory?.() ?? freemem()));
}

const UNITS: Readonly<Record<string, number>> = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 };

/** Parses a budget string. */
function parse(text: string): { share: number } | { bytes: number } {
  const [, number, unit] = /^([\d.]+)\s*(%|B|kB|MB|GB)$/.exec(text) ?? [];
  if (number === undefined) return { bytes: memoryBudget(text as MemoryPreset) };
  const value = Number(number);
  checkArgument(value > 0, 'the budget', 'a share such as 25%, bytes such as 64MB, or a device', text);
  return unit === '%' ? { share: value / 100 } : { bytes: value * UNITS[unit] };
}

/**
 * Checks the syntax of a budget.
 *
 * @throws LowbitError 'invalid-argument'
 */
export function checkBudget(text: string): void {
  parse(text);
}

/**
 * Converts a budget string to bytes.
 *
 * @param text a share of all experts (`25%`), bytes (`64MB`), a kind of device, or `auto`
 * @param precision that experts are read in; default: the container's first
 * @throws LowbitError 'invalid-argument'
 */
export function budgetBytes(text: string, index: ExpertIndex, precision?: string): number {
  const budget = parse(text);
  if ('bytes' in budget) return budget.bytes;
  const { precisions, records, layers, experts } = index;
  const chosen = precision === undefined ? 0 : precisions.findIndex(({ name }) => name === precision);
  const largest = Math.max(0, ...records.filter((r) => r.precision === chosen).map(({ bytes }) => bytes));
  return Math.floor(budget.share * layers * experts) * pageAligned(largest);
}
