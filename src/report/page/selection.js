/** The layer whose values are shown. */
import { layers } from './data.js';
import { decibels } from './numbers.js';

const worst = [...layers].sort((a, b) => decibels(a.signalToNoise) - decibels(b.signalToNoise))[0];

export const selection = {
  layer: worst,
  listeners: [],
  choose(layer) {
    selection.layer = layer;
    for (const listener of selection.listeners) listener();
  },
};
