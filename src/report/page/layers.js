/** What each layer costs: noise, values, size, time. */

import { beforeAndAfter, canvasOf, histogram, levels } from './charts.js';
import { layers, report, shortName } from './data.js';
import { choice, element, section } from './elements.js';
import { bytes, count, decibels, milliseconds, percent, showDecibels } from './numbers.js';
import { selection } from './selection.js';

const MEASURES = {
  all: {
    text: 'all layers quantized',
    note: `Signal-to-noise of the result of each layer on ${report.layerSamples} samples, with the noise of all layers before it.`,
    value: (layer) => decibels(layer.signalToNoise),
  },
  alone: {
    text: 'one layer at a time',
    note: 'Signal-to-noise at the worst output of the model when this layer alone is quantized: what it costs.',
    value: (layer) => decibels(layer.sensitivity?.signalToNoise),
  },
};

export function noiseSection() {
  const { canvas, box } = canvasOf('noise', 'Signal-to-noise of each layer', `width: ${layers.length * 9}px`);
  const state = { order: 'run', measure: 'all' };
  const note = element('p', { class: 'quiet' });
  const show = (change) => {
    Object.assign(state, change);
    const { value, note: text } = MEASURES[state.measure];
    const known = layers.filter((layer) => value(layer) !== undefined);
    const shown = state.order === 'worst' ? known.sort((a, b) => value(a) - value(b)) : known;
    note.textContent = `${text} Green: 20 dB or more; amber: 10 or more; red: less. Choose a bar to see its values.`;
    levels(canvas, { shown, value, title: 'dB', pick: selection.choose });
  };
  const order = choice(
    'Order of the layers',
    [
      ['run', 'as they run'],
      ['worst', 'worst first'],
    ],
    state.order,
    (value) => show({ order: value }),
  );
  const measures = Object.entries(MEASURES).map(([id, { text }]) => [id, text]);
  const measured = layers.some(({ sensitivity }) => sensitivity);
  const measure = choice('What is quantized', measures, state.measure, (value) => show({ measure: value }));
  const made = section(
    'noise-section',
    'How close each layer is to float',
    undefined,
    note,
    element('div', { class: 'head' }, measured ? measure : element('span'), order),
    box,
  );
  return { made, show: () => show({}) };
}

function factsOf(layer) {
  const { histogram: _, range } = layer;
  const facts = [
    ['Op', [layer.op, ...layer.fused].join(' + ')],
    ['Precision', layer.precision],
    ['Signal-to-noise', showDecibels(layer.signalToNoise)],
    ['Of the weights', showDecibels(layer.weightSignalToNoise)],
    ['Alone, at the output', showDecibels(layer.sensitivity?.signalToNoise)],
    ['Values in float', `${range.min.toPrecision(4)} to ${range.max.toPrecision(4)}`],
    ['Codes used', percent(layer.rangeUsed, 1)],
    ['Clipped', percent(layer.clipped, 3)],
    ['Multiply-accumulates', count(layer.macs)],
    ['Weights', `${bytes(layer.bytes.before)} → ${bytes(layer.bytes.after)}`],
  ];
  if (layer.weights) facts.push(['Stored as', storageText(layer.weights)]);
  if (layer.milliseconds) facts.push(['Time', timeText(layer)]);
  if (layer.reason) facts.push(['Stays float', layer.reason]);
  return facts;
}

function storageText({ format, bitsPerWeight, group, rotation, reason }) {
  const parts = [format, `${bitsPerWeight.toFixed(2)} bits per weight`];
  if (group !== undefined) parts.push(group === 0 ? 'a scale a row' : `a scale for ${group} inputs`);
  if (rotation) parts.push(`rotated, ${rotation}`);
  if (reason) parts.push(reason);
  return parts.join('; ');
}

function timeText({ milliseconds: { before, after } }) {
  return `${milliseconds(before)} → ${after === 0 ? 'within another layer' : milliseconds(after)}`;
}

export function layerSection() {
  const { canvas, box } = canvasOf('histogram', 'Histogram of the chosen layer');
  const select = element(
    'select',
    { 'aria-label': 'Layer', onchange: () => selection.choose(layers[select.selectedIndex]) },
    ...layers.map(({ name }) => element('option', {}, shortName(name))),
  );
  const facts = element('dl', { class: 'facts' });
  const show = () => {
    select.selectedIndex = layers.indexOf(selection.layer);
    histogram(canvas, selection.layer);
    facts.replaceChildren(
      ...factsOf(selection.layer).map(([term, text]) =>
        element('div', {}, element('dt', {}, term), element('dd', {}, text)),
      ),
    );
  };
  selection.listeners.push(show);
  const made = section(
    'layer-section',
    'Values of one layer',
    'How often each value is seen, in float and as converted. The first and the last bin hold what codes cannot.',
    element('div', { class: 'head' }, select),
    box,
    facts,
  );
  return { made, show };
}

export function sizeSection() {
  const { canvas, box } = canvasOf('size', 'Bytes of the largest layers', 'height: 420px');
  const value = (layer) => (layer.bytes.before > 0 ? layer.bytes : undefined);
  const made = section(
    'size-section',
    'Size of the weights',
    'With biases and scales; float as 4 bytes a number.',
    box,
  );
  return { made, show: () => beforeAndAfter(canvas, { value, title: 'bytes', show: bytes }) };
}

export function timeSection() {
  const { canvas, box } = canvasOf('time', 'Time of the slowest layers', 'height: 420px');
  const border = milliseconds(report.borderMilliseconds);
  const made = section(
    'time-section',
    'Time',
    `Each layer by itself in TF.js, and inside its native program. Between float and INT8: ${border}.`,
    box,
  );
  const value = (layer) => layer.milliseconds;
  return { made, show: () => beforeAndAfter(canvas, { value, title: 'milliseconds', show: milliseconds }) };
}
