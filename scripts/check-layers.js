/**
 * Checks who imports whom against layers.js: rooms, circles of files, entries, and what CONTRIBUTING.md shows of it.
 * Imports of types count. `--write` brings CONTRIBUTING.md up to date.
 */
const fs = require('node:fs');
const path = require('node:path');
const swc = require('@swc/core');
const { APART, FORBIDDEN, NATIVE, TYPESCRIPT } = require('./layers');

const root = path.resolve(__dirname, '..');
const SOURCES = { src: /\.ts$/, kernels: /\.ts$/, native: /\.(cc|h)$/ };
/** Not part of the library. */
const LEFT_OUT = /^native\/test\//;
/** Written by scripts/compile-native.js into the build's folder. */
const BUILT = /\.inc$/;

const posix = (file) => file.split(path.sep).join('/');

function sources() {
  return Object.entries(SOURCES).flatMap(([folder, pattern]) =>
    fs
      .readdirSync(path.join(root, folder), { recursive: true })
      .map((file) => posix(path.join(folder, file)))
      .filter((file) => pattern.test(file) && !LEFT_OUT.test(file)),
  );
}

/** What a TypeScript file imports, exports from, requires, or names in a type, as it is written. */
function typescriptImports(text) {
  const found = new Set();
  const visit = (node) => {
    if (node === null || typeof node !== 'object') return;
    if (node.source?.type === 'StringLiteral') found.add(node.source.value);
    if (node.type === 'TsImportType') found.add(node.argument.value);
    if (node.type === 'TsExternalModuleReference') found.add(node.expression.value);
    if (
      node.type === 'CallExpression' &&
      (node.callee.type === 'Import' || node.callee.value === 'require')
    ) {
      const argument = node.arguments[0]?.expression;
      if (argument?.type === 'StringLiteral') found.add(argument.value);
    }
    Object.values(node).forEach(visit);
  };
  visit(swc.parseSync(text, { syntax: 'typescript' }));
  return [...found];
}

function nativeIncludes(text) {
  return [...text.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)].map((match) => `./${match[1]}`);
}

/** The file or package that an import means; undefined for a file that is not there. */
function resolve(from, name, files) {
  if (!name.startsWith('.')) return name;
  const target = posix(path.join(path.dirname(from), name));
  return [target, `${target}.ts`, `${target}/index.ts`].find((file) => files.has(file));
}

/** Every file with the files and packages it imports. */
function readImports(problems) {
  const files = new Set(sources());
  const imports = new Map();
  for (const file of files) {
    const text = fs.readFileSync(path.join(root, file), 'utf8');
    const names = file.endsWith('.ts') ? typescriptImports(text) : nativeIncludes(text);
    imports.set(file, []);
    for (const name of names) {
      const target = resolve(file, name, files);
      if (target) imports.get(file).push(target);
      else if (!BUILT.test(name)) problems.push(`${file}: imports ${name}, which is not among the sources`);
    }
  }
  return imports;
}

const ROOMS = [...TYPESCRIPT, ...NATIVE];

function roomOf(file) {
  return ROOMS.find(({ room, direct }) =>
    direct ? path.posix.dirname(file) === room : file.startsWith(`${room}/`),
  );
}

/** A table is in order when each room knows only rooms before it: then there are no circles of rooms. */
function checkOrder(table, problems) {
  table.forEach(({ room, knows }, i) => {
    const before = table.slice(0, i).map(({ name }) => name);
    for (const name of knows) {
      if (!before.includes(name))
        problems.push(`layers.js: ${room} knows ${name}, which is not listed before it`);
    }
  });
}

function checkArrow(from, to, problems) {
  for (const rule of FORBIDDEN) {
    if (rule.from.test(from) && rule.to.test(to)) problems.push(`${from} -> ${to}: ${rule.why}`);
  }
  for (const { parts, why } of APART) {
    const [one, other] = [from, to].map((file) => parts.exec(file)?.[1]);
    if (one && other && one !== other) problems.push(`${from} -> ${to}: ${why}`);
  }
  const [source, target] = [roomOf(from), roomOf(to)];
  if (source && target && source !== target && !source.knows.includes(target.name))
    problems.push(`${from} -> ${to}: ${source.name} may not know ${target.name}`);
}

/** Files directly in src/ are what package.json exports. */
function checkEntries(imports, problems) {
  const { exports: entries, bin } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  const exported = JSON.stringify([entries, bin]);
  for (const file of imports.keys()) {
    if (!roomOf(file)) problems.push(`${file}: lies in no room`);
    const built = ['.js', '.d.ts'].map((extension) => `/dist/${file.replace(/\.ts$/, extension)}"`);
    if (roomOf(file)?.room === 'src' && !built.some((name) => exported.includes(name)))
      problems.push(`${file}: lies directly in src, and package.json exports it nowhere`);
  }
}

/** Groups of files that import each other in a circle (strongly connected components; Tarjan 1972). */
function circles(imports) {
  const [index, low, stack, found] = [new Map(), new Map(), [], []];
  const visit = (file) => {
    index.set(file, index.size);
    low.set(file, index.get(file));
    stack.push(file);
    for (const next of imports.get(file)) {
      if (!imports.has(next)) continue;
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) low.set(file, Math.min(low.get(file), low.get(next)));
    }
    if (low.get(file) !== index.get(file)) return;
    const group = stack.splice(stack.indexOf(file));
    if (group.length > 1 || imports.get(file).includes(file)) found.push(group);
  };
  for (const file of imports.keys()) if (!index.has(file)) visit(file);
  return found;
}

module.exports = { checkArrow, checkOrder, circles, typescriptImports };

if (require.main === module) {
  const problems = [];
  const imports = readImports(problems);
  for (const table of [TYPESCRIPT, NATIVE]) checkOrder(table, problems);
  checkEntries(imports, problems);
  for (const [from, targets] of imports) for (const to of targets) checkArrow(from, to, problems);
  const found = circles(imports);
  const page = require('./layers-page').update({ write: process.argv.includes('--write') });
  if (!page)
    problems.push(
      'CONTRIBUTING.md: the rooms are not those of layers.js; run npm run check:layers -- --write',
    );
  for (const problem of problems) console.error(problem);
  for (const group of found) console.error(`circle: ${group.join(', ')}`);
  console.log(
    `${imports.size} modules in ${ROOMS.length} rooms, ${problems.length} violations, ${found.length} circles`,
  );
  if (problems.length + found.length > 0) process.exitCode = 1;
}
