/** The table of layers. */
import { layers, shortName } from './data.js';
import { element, section } from './elements.js';
import { bytes, count, decibels, level, milliseconds, percent, shorten, showDecibels } from './numbers.js';
import { selection } from './selection.js';

/** The end of a name tells more than its beginning. */
const shownName = (name) => shorten(shortName(name), innerWidth < 480 ? 18 : 40);

const COLUMNS = [
  { id: 'index', title: '#', value: (layer) => layers.indexOf(layer) + 1, show: (value) => String(value) },
  { id: 'name', title: 'Layer', text: true, value: ({ name }) => name, show: shownName },
  {
    id: 'noise',
    title: 'Signal-to-noise',
    value: ({ signalToNoise }) => decibels(signalToNoise),
    show: showDecibels,
    class: level,
  },
  { id: 'op', title: 'Op', text: true, value: ({ op, fused }) => [op, ...fused].join(' + ') },
  { id: 'precision', title: 'Precision', text: true, value: ({ precision }) => precision },
  { id: 'format', title: 'Weights', text: true, value: ({ weights }) => weights?.format },
  {
    id: 'bits',
    title: 'Bits a weight',
    value: ({ weights }) => weights?.bitsPerWeight,
    show: (value) => value.toFixed(2),
  },
  {
    id: 'sensitivity',
    title: 'Alone',
    value: ({ sensitivity }) => decibels(sensitivity?.signalToNoise),
    show: showDecibels,
  },
  {
    id: 'weights',
    title: 'Of weights',
    value: ({ weightSignalToNoise }) => decibels(weightSignalToNoise),
    show: showDecibels,
  },
  { id: 'clipped', title: 'Clipped', value: ({ clipped }) => clipped, show: (value) => percent(value, 3) },
  {
    id: 'used',
    title: 'Codes used',
    value: ({ rangeUsed }) => rangeUsed,
    show: (value) => percent(value, 1),
  },
  { id: 'macs', title: 'MACs', value: ({ macs }) => macs, show: count },
  { id: 'before', title: 'Bytes float', value: ({ bytes: { before } }) => before, show: bytes },
  { id: 'after', title: 'converted', value: ({ bytes: { after } }) => after, show: bytes },
  {
    id: 'time-before',
    title: 'Time float',
    value: ({ milliseconds: time }) => time?.before,
    show: milliseconds,
  },
  {
    id: 'time-after',
    title: 'converted',
    value: ({ milliseconds: time }) => time?.after,
    show: (value) => (value === 0 ? 'fused' : milliseconds(value)),
  },
].filter(({ value }) => layers.some((layer) => value(layer) !== undefined));

/** Missing values come last, whatever the direction. */
function compareBy({ value }, direction) {
  return (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    return direction * (typeof x === 'string' ? x.localeCompare(y) : x - y);
  };
}

function cell({ id, text, value, show = String, class: classOf }, layer) {
  const content = value(layer);
  const classes = [id === 'name' ? 'name' : text ? 'text' : 'number', classOf ? classOf(content) : ''];
  const shown = content === undefined ? '–' : show(content);
  return element(
    'td',
    { class: classes.join(' ').trim() || undefined, title: text ? content : undefined },
    shown,
  );
}

export function tableSection() {
  let sorted = { column: COLUMNS.find(({ id }) => id === 'noise'), direction: 1 };
  const body = element('tbody');
  const filter = element('input', {
    type: 'search',
    placeholder: 'filter by name or op',
    'aria-label': 'Filter',
    oninput: () => show(),
  });
  const heads = COLUMNS.map((column) =>
    element(
      'th',
      {
        scope: 'col',
        class: column.id === 'name' ? 'name' : column.text ? undefined : 'number',
        'data-column': column.id,
      },
      element('button', { type: 'button', class: 'sort', onclick: () => sortBy(column) }, column.title),
    ),
  );
  function sortBy(column) {
    const direction =
      sorted.column === column ? -sorted.direction : column.text || column.id === 'index' ? 1 : -1;
    sorted = { column, direction: column.id === 'noise' && sorted.column !== column ? 1 : direction };
    show();
  }
  function row(layer) {
    return element(
      'tr',
      {
        class: 'choice',
        'aria-selected': String(layer === selection.layer),
        onclick: () => selection.choose(layer),
      },
      ...COLUMNS.map((column) => cell(column, layer)),
    );
  }
  function show() {
    heads.forEach((head, i) => {
      if (COLUMNS[i] !== sorted.column) head.removeAttribute('aria-sort');
      else head.setAttribute('aria-sort', sorted.direction > 0 ? 'ascending' : 'descending');
    });
    const wanted = filter.value.toLowerCase();
    const shown = layers.filter(({ name, op }) => `${name} ${op}`.toLowerCase().includes(wanted));
    body.replaceChildren(...shown.sort(compareBy(sorted.column, sorted.direction)).map(row));
  }
  selection.listeners.push(show);
  const made = section(
    'layers-section',
    'Layers',
    undefined,
    element(
      'div',
      { class: 'head' },
      element(
        'p',
        { class: 'quiet' },
        'Worst first. A click on a head sorts, one on a row shows its values.',
      ),
      filter,
    ),
    element(
      'div',
      { class: 'table' },
      element('table', { id: 'layers' }, element('thead', {}, element('tr', {}, ...heads)), body),
    ),
  );
  return { made, show };
}
