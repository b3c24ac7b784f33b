import { freemem } from 'node:os';
import { checkArgument } from '../errors';

const GIB = 2 ** 30;

/**
 * Bytes for experts on usual devices, with room left for the system, the runtime and the rest of the model: half of a
 * Raspberry Pi 5 of 4 GiB, what phones let one application have, a quarter of a laptop of 16 GiB, half of the 2 GiB that a
 * browser's tab gets for sure.
 */
export const MEMORY_PRESETS = {
  'raspberry-pi-5': 2 * GIB,
  phone: 1 * GIB,
  laptop: 4 * GIB,
  browser: 1 * GIB,
} as const;

export type MemoryPreset = keyof typeof MEMORY_PRESETS;

/** Of the memory that the process may still have, what `auto` takes. */
const SHARE = 0.5;

/**
 * A budget for experts in bytes.
 *
 * @param preset a kind of device, or `auto`: half of what this process may still have, of the machine or its container
 */
export function memoryBudget(preset: MemoryPreset | 'auto'): number {
  if (preset !== 'auto') {
    const names = Object.keys(MEMORY_PRESETS);
    checkArgument(names.includes(preset), 'the memory preset', `auto, ${names.join(', ')}`, preset);
    return MEMORY_PRESETS[preset];
  }
  return Math.floor(SHARE * (process.availableMemory?.() ?? freemem()));
}
