/** The rooms as CONTRIBUTING.md shows them: a picture and two tables, written from layers.js. */
const fs = require('node:fs');
const path = require('node:path');
const { NATIVE, TYPESCRIPT } = require('./layers');

const page = path.resolve(__dirname, '..', 'CONTRIBUTING.md');
const [BEGIN, END] = ['<!-- rooms: npm run check:layers -- --write -->', '<!-- end of rooms -->'];

const code = (names) => names.map((name) => `\`${name}\``).join(', ');

/** What a room may know, or, where that is shorter, what of the rooms above it it may not know. */
function known(row, table) {
  const above = table.slice(0, table.indexOf(row)).map(({ name }) => name);
  const except = above.filter((name) => !row.knows.includes(name));
  if (row.knows.length === 0) return 'nothing';
  if (above.length > 3 && except.length <= 3)
    return ['all above', except.length && `but ${code(except)}`].filter(Boolean).join(' ');
  return code(row.knows);
}

/** Arrows that no longer way replaces: the least that draws the order of the rooms. */
function arrows(table) {
  const rows = new Map(table.map((row) => [row.name, row]));
  const reaches = (from, to) => rows.get(from).knows.some((name) => name === to || reaches(name, to));
  return table.flatMap(({ name, knows }) =>
    knows
      .filter((to) => !knows.some((other) => other !== to && reaches(other, to)))
      .map((to) => `  ${name} --> ${to}`),
  );
}

function render() {
  const typescript = TYPESCRIPT.map(
    (row) =>
      `| \`${row.room}\`${row.direct ? ' itself' : ''} | ${row.holds} | ${known(row, TYPESCRIPT)} | ${row.why} |`,
  );
  const native = NATIVE.map(
    (row) => `| \`${row.room}\`${row.direct ? ' itself' : ''} | ${row.holds} | ${known(row, NATIVE)} |`,
  );
  return [
    BEGIN,
    '| room | what lives there | may know | why |',
    '| --- | --- | --- | --- |',
    ...typescript,
    '',
    '| room | what lives there | may know |',
    '| --- | --- | --- |',
    ...native,
    '',
    'An arrow points at what a room knows; where a longer way leads there as well, the direct arrow is left out.',
    '',
    '```mermaid',
    'graph TD',
    ...arrows(TYPESCRIPT),
    '```',
    END,
  ].join('\n');
}

/** @returns whether the page shows what layers.js says, after writing it where `write` */
function update({ write }) {
  const text = fs.readFileSync(page, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < 0) return false;
  const wanted = text.slice(0, begin) + render() + text.slice(end + END.length);
  if (write) fs.writeFileSync(page, wanted);
  return write || wanted === text;
}

module.exports = { update };
