/** What the whole model gains, what stays float, and where the scales come from. */
import { report, shortName } from './data.js';
import { definitions, element, section } from './elements.js';
import { bytes, count, decibels, isNumber, milliseconds, percent, showDecibels, times } from './numbers.js';

function card(label, figure, detail) {
  return element(
    'div',
    { class: 'card' },
    element('div', { class: 'quiet' }, label),
    element('div', { class: 'figure' }, figure),
    element('div', { class: 'quiet' }, detail),
  );
}

function accuracyCard() {
  const { top1, agreement, outputs, samples } = report.comparison;
  if (top1) {
    const change = top1.lowbit - top1.float;
    const points = `${change > 0 ? '+' : change < 0 ? '−' : '±'}${Math.abs(change).toFixed(2)} points`;
    return card(
      'Top-1 accuracy',
      points,
      `${percent(top1.float)} → ${percent(top1.lowbit)}, ${top1.labelled} labels`,
    );
  }
  if (isNumber(agreement)) return card('Same class as float', percent(agreement, 1), `of ${samples} samples`);
  const [worst] = [...outputs].sort((a, b) => decibels(a.signalToNoise) - decibels(b.signalToNoise));
  return card('Signal-to-noise', showDecibels(worst.signalToNoise), `worst output, ${samples} samples`);
}

/** Growth that is smaller than what the measurement can tell is a dash. */
function memoryCard({ float, lowbit }) {
  const measured = ({ resident, uncertainty = 0 }) => resident >= 2 * uncertainty;
  const shown = (use) => (measured(use) ? bytes(use.resident) : '–');
  const both = measured(float) && measured(lowbit);
  const ratio = both ? `${times(float.resident / lowbit.resident)} less` : '–';
  return card('Memory', ratio, `${shown(float)} → ${shown(lowbit)}`);
}

export function cards() {
  const { bytes: size, latency, memory } = report.comparison;
  const made = [
    card(
      'Size',
      `${times(size.float / size.lowbit)} smaller`,
      `${bytes(size.float)} → ${bytes(size.lowbit)}`,
    ),
    card(
      'Speed',
      latency.speedup >= 1 ? `${times(latency.speedup)} faster` : `${times(1 / latency.speedup)} slower`,
      `${milliseconds(latency.float)} → ${milliseconds(latency.lowbit)}`,
    ),
    accuracyCard(),
    card(
      'Work in INT8',
      percent(report.macs.percent, 1),
      `of ${count(report.macs.total)} multiply-accumulates${report.macs.incomplete > 0 ? ', as far as known' : ''}`,
    ),
  ];
  if (memory) made.push(memoryCard(memory));
  return element('div', { class: 'cards', id: 'headline' }, ...made);
}

export function outputsNote() {
  const { latency, outputs } = report.comparison;
  const all = outputs.map(({ name, signalToNoise }) => `${name} ${showDecibels(signalToNoise)}`);
  return element(
    'p',
    { class: 'quiet' },
    `Signal-to-noise of the outputs: ${all.join(', ')}. Times: float on ${latency.backend}, one thread; converted on ` +
      `the ${latency.engine} engine, ${latency.isa}, ${latency.threads} thread(s); medians of ${latency.runs} turns.`,
  );
}

function headings(titles) {
  const heads = titles.map((title, i) =>
    element('th', { scope: 'col', class: i === 0 ? 'plain name' : 'plain' }, title),
  );
  return element('thead', {}, element('tr', {}, ...heads));
}

function plainTable(titles, rows) {
  const body = element('tbody', {}, ...rows);
  return element('div', { class: 'table' }, element('table', {}, headings(titles), body));
}

/** What each way to recover accuracy was worth; undefined where none was measured. */
export function recoverySection() {
  const { recovery = [] } = report;
  if (recovery.length === 0) return undefined;
  const rows = recovery.map((effect) =>
    element(
      'tr',
      {},
      element('td', {}, effect.pass),
      element('td', {}, showDecibels(effect.without)),
      element('td', {}, showDecibels(effect.with)),
    ),
  );
  const note = 'Signal-to-noise of the worst output, converted without each pass and as it is.';
  return section(
    'recovery-section',
    'What recovers accuracy',
    note,
    plainTable(['Pass', 'Without', 'With'], rows),
  );
}

/** Products first: they are what would be faster. */
function floatNodes() {
  const { floatProducts = [] } = report.macs;
  const products = new Set(floatProducts.map(({ name }) => name));
  return [...floatProducts, ...report.float.filter(({ name }) => !products.has(name))];
}

function work({ macs, incomplete }) {
  if (macs === undefined) return '';
  return incomplete ? `at least ${count(macs)}` : count(macs);
}

export function floatSection() {
  const rows = floatNodes().map(({ name, op, reason, ...product }) =>
    element(
      'tr',
      {},
      element('td', { class: 'name', title: name }, shortName(name)),
      element('td', {}, op),
      element('td', {}, work(product)),
      element('td', { class: 'wrap' }, reason),
    ),
  );
  const body =
    rows.length === 0
      ? element('p', { class: 'quiet' }, 'None: the whole model runs in INT8.')
      : plainTable(['Node', 'Op', 'Multiply-accumulates', 'Why'], rows);
  const note = rows.length === 0 ? undefined : `${rows.length} node${rows.length === 1 ? '' : 's'}.`;
  return section('float-section', 'What stays float', note, body);
}

function textOf(value) {
  if (Array.isArray(value)) return value.map(textOf).join(', ');
  if (value === null || typeof value !== 'object') return String(value);
  return Object.entries(value)
    .map(([name, part]) => `${name}: ${textOf(part)}`)
    .join('; ');
}

export function originSection() {
  const { settings = {}, warnings = [] } = report.conversion ?? {};
  const entries = Object.entries({ ...settings, ...report.calibration }).map(([name, value]) => [
    name,
    textOf(value),
  ]);
  if (report.equalized) entries.push(['layers', 'compared at the channel scales of the converted model']);
  for (const warning of warnings) entries.push(['warning', warning]);
  return section(
    'origin-section',
    'Where the scales come from',
    undefined,
    definitions([
      ['scheme', report.scheme],
      ...entries,
      ['converted by', `tfjs-lowbit ${report.toolVersion}`],
    ]),
  );
}
