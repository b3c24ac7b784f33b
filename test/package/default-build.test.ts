/** The default build needs nothing of Node.js: what its entries import when they run, and what they touch when imported. */
import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { createContext, Script } from 'node:vm';
import { transformSync } from '@swc/core';

const root = resolve(__dirname, '..', '..');

/** As the compiler emits it: imports of types are gone. */
function compiled(file: string): string {
  return transformSync(readFileSync(file, 'utf8'), {
    jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
    module: { type: 'commonjs', ignoreDynamic: true },
    filename: file,
  }).code;
}

/** What a file loads, at once or later. */
function importsOf(code: string): string[] {
  return [...code.matchAll(/\b(?:require|import)\(\s*(["'])(.*?)\1\s*\)/g)].map(([, , name]) => name);
}

/** Files of ours and packages that an entry reaches. */
function reach(entry: string): { files: Map<string, string>; packages: Map<string, string> } {
  const files = new Map<string, string>();
  const packages = new Map<string, string>();
  const visit = (file: string) => {
    if (files.has(file)) return;
    const code = compiled(file);
    files.set(file, code);
    for (const name of importsOf(code)) {
      if (name.startsWith('.')) visit(resolve(dirname(file), `${name}.ts`));
      else packages.set(name, relative(root, file));
    }
  };
  visit(join(root, entry));
  return { files, packages };
}

/** Something that each exports. */
const FIRST: Record<string, string> = {
  'src/index.ts': 'engineInfo',
  'src/kernels.ts': 'encodeProgram',
  'src/convert.browser.ts': 'quantizeModel',
};

const ENTRIES = Object.keys(FIRST);

test('the walk sees imports at run time and none of types', () => {
  const code = transformSync(
    `import { type A, b } from './values';
     import { type C } from './types';
     import type { D } from './more-types';
     export { e } from './exported';
     export type { F } from './exported-types';
     import './effects';
     export const g: A | C | D = b, h = import('./later'), i = require('node:fs');`,
    { jsc: { parser: { syntax: 'typescript' } }, module: { type: 'commonjs', ignoreDynamic: true } },
  ).code;
  expect(importsOf(code).sort()).toEqual(['./effects', './exported', './later', './values', 'node:fs']);
  expect([...reach('src/index.node.ts').packages.keys()]).toContain('node:fs');
});

test.each(ENTRIES)('%s reaches no module of Node.js, and few packages', (entry) => {
  const { files, packages } = reach(entry);
  expect([...packages].filter(([name]) => isBuiltin(name))).toEqual([]);
  const known =
    entry === 'src/convert.browser.ts'
      ? /^(@tensorflow\/tfjs-(core|converter)|zod|picomatch)$/
      : /^@tensorflow\/tfjs-(core|converter)$/;
  expect([...packages].filter(([name]) => !known.test(name))).toEqual([]);
  expect(files.size).toBeGreaterThan(30);
});

test.each(ENTRIES)('%s can be imported where there is no global of Node.js', (entry) => {
  const { files } = reach(entry);
  // A realm of its own: it has the globals of the language and those below.
  const context = createContext({ performance, TextDecoder, TextEncoder, queueMicrotask });
  const loaded = new Map<string, { exports: Record<string, unknown> }>();
  const load = (file: string): Record<string, unknown> => {
    const known = loaded.get(file);
    if (known) return known.exports;
    const module = { exports: {} };
    loaded.set(file, module);
    const wrapped = `(function (exports, require, module) {${files.get(file)}\n})`;
    const run = new Script(wrapped, { filename: file }).runInContext(context);
    run(
      module.exports,
      (name: string) => (name.startsWith('.') ? load(resolve(dirname(file), `${name}.ts`)) : require(name)),
      module,
    );
    return module.exports;
  };
  const exported = load(join(root, entry));
  const first = exported[FIRST[entry]] as () => void;
  expect(typeof first).toBe('function');
  if (entry === 'src/index.ts') expect(first).toThrow(/This build of tfjs-lowbit brings no engine/);
});

test('code of the default build names no global of Node.js', () => {
  for (const entry of ENTRIES) {
    for (const [file, code] of reach(entry).files) {
      const stripped = code.replace(/\/\*[\s\S]*?\*\/|\/\/.*|(["'`])(?:\\.|(?!\1)[^\\])*\1/g, '""');
      const found = stripped.match(/(?<![.\w])(process|Buffer|__dirname|__filename|setImmediate)\b/);
      expect([relative(root, file), found?.[0]]).toEqual([relative(root, file), undefined]);
    }
  }
});
