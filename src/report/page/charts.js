/** The charts, drawn with Chart.js, which is there as a global. */
import { layers, shortName } from './data.js';
import { element } from './elements.js';
import { count, level, shorten, showDecibels } from './numbers.js';

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const MAX_SHOWN = 14;
const MAX_DECIBELS = 80;

const charts = new Map();

/** Draws a chart again from scratch: its data or the colours have changed. */
function draw(canvas, configure) {
  charts.get(canvas)?.chart.destroy();
  Chart.defaults.color = color('quiet');
  Chart.defaults.borderColor = color('line');
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  const { options, ...configuration } = configure();
  const chart = new Chart(canvas, {
    ...configuration,
    options: { animation: false, maintainAspectRatio: false, ...options },
  });
  charts.set(canvas, { chart, configure });
}

export function canvasOf(id, label, style) {
  const canvas = element('canvas', { id, role: 'img', 'aria-label': label });
  return {
    canvas,
    box: element('div', { class: 'wide' }, element('div', { class: 'chart', style }, canvas)),
  };
}

const axis = (text, more = {}) => ({ title: { display: true, text }, ...more });
const legend = { position: 'top', align: 'start', labels: { boxWidth: 12, boxHeight: 12 } };

/** The layers with most of something, before beside after, and the sum of the others. */
export function beforeAndAfter(canvas, { value, title, show }) {
  const sorted = layers.filter((layer) => value(layer)).sort((a, b) => value(b).before - value(a).before);
  const others = sorted.slice(MAX_SHOWN);
  const sum = (which) => others.reduce((total, layer) => total + value(layer)[which], 0);
  const rows = sorted.slice(0, MAX_SHOWN).map((layer) => ({ name: layer.name, ...value(layer) }));
  if (others.length > 0) {
    rows.push({ name: `the other ${others.length}`, before: sum('before'), after: sum('after') });
  }
  draw(canvas, () => ({
    type: 'bar',
    data: {
      labels: rows.map(({ name }) => name),
      datasets: ['before', 'after'].map((which) => ({
        label: which === 'before' ? 'float' : 'converted',
        data: rows.map((row) => row[which]),
        backgroundColor: color(which === 'before' ? 'float' : 'int8'),
        barPercentage: 0.95,
        categoryPercentage: 0.75,
      })),
    },
    options: {
      indexAxis: 'y',
      scales: {
        x: axis(title, {
          ticks: { callback: show, maxRotation: 0, maxTicksLimit: canvas.clientWidth < 480 ? 4 : 6 },
        }),
        y: {
          grid: { display: false },
          ticks: {
            autoSkip: false,
            callback: (_, i) => shorten(shortName(rows[i].name), canvas.clientWidth < 480 ? 16 : 26),
          },
        },
      },
      plugins: {
        legend,
        tooltip: { callbacks: { label: ({ dataset, raw }) => `${dataset.label}: ${show(raw)}` } },
      },
    },
  }));
}

/** One bar per layer, coloured by its level. */
export function levels(canvas, { shown, value, title, pick }) {
  const data = shown.map((layer) => Math.max(0, Math.min(MAX_DECIBELS, value(layer))));
  draw(canvas, () => ({
    type: 'bar',
    data: {
      labels: shown.map(({ name }) => name),
      datasets: [
        {
          data,
          backgroundColor: shown.map((layer) => color(level(value(layer)))),
          minBarLength: 2,
          barPercentage: 0.9,
          categoryPercentage: 0.95,
        },
      ],
    },
    options: {
      onClick: (_, [hit]) => hit && pick(shown[hit.index]),
      scales: {
        x: { grid: { display: false }, ticks: { display: false } },
        y: axis(title, { beginAtZero: true }),
      },
      plugins: {
        legend: { display: false },
        tooltip: { callbacks: { label: ({ dataIndex }) => showDecibels(value(shown[dataIndex])) } },
      },
    },
  }));
}

export function histogram(canvas, { histogram: { low, high, float, quantized } }) {
  const width = (high - low) / (float.length - 2);
  const labels = float.map((_, i) => {
    if (i === 0) return `below ${low.toPrecision(3)}`;
    return i === float.length - 1 ? `above ${high.toPrecision(3)}` : (low + (i - 0.5) * width).toPrecision(3);
  });
  const withoutZeros = (counts) => counts.map((value) => (value === 0 ? null : value));
  draw(canvas, () => ({
    data: {
      labels,
      datasets: [
        {
          type: 'line',
          label: 'converted',
          data: withoutZeros(quantized),
          borderColor: color('int8'),
          backgroundColor: color('int8'),
          borderWidth: 2,
          pointRadius: quantized.filter((value) => value > 0).length < 8 ? 3 : 0,
          stepped: 'middle',
        },
        {
          type: 'bar',
          label: 'float',
          data: withoutZeros(float),
          backgroundColor: color('float'),
          barPercentage: 1,
          categoryPercentage: 1,
        },
      ],
    },
    options: {
      interaction: { mode: 'index', intersect: false },
      scales: {
        x: axis('value', {
          grid: { display: false },
          ticks: { maxTicksLimit: 9, maxRotation: 0 },
        }),
        y: axis('how often', { type: 'logarithmic', min: 0.7, ticks: { callback: powersOfTen } }),
      },
      plugins: { legend },
    },
  }));
}

const powersOfTen = (value) => (Number.isInteger(Math.log10(value)) ? count(value) : '');

/** Draws every chart again, in the colours of the scheme at hand. */
export function redraw() {
  for (const [canvas, { configure }] of [...charts]) draw(canvas, configure);
}
