const { checkArrow, checkOrder, circles, typescriptImports } = require('../../scripts/check-layers');

function problemsOf(check: (problems: string[]) => void): string[] {
  const problems: string[] = [];
  check(problems);
  return problems;
}

test('imports of types, re-exports, types in place and imports at run time count', () => {
  const text = `
    import type { A } from './a';
    export { b } from './b';
    export * from './c';
    let d: import('./d').D;
    const e = await import('./e');
    const f = require('./f');
    // import './g';`;
  expect(typescriptImports(text)).toEqual(['./a', './b', './c', './d', './e', './f']);
});

test.each([
  ['src/base/errors.ts', 'src/graph/ir.ts', 'base may not know graph'],
  ['src/graph/ir.ts', '@tensorflow/tfjs-core', 'knows no TF.js'],
  ['src/passes/pass.ts', 'node:fs', 'a pass knows no files'],
  ['kernels/one-op.ts', 'src/runtime/native-engine.ts', 'only src/runtime knows which engine runs'],
  ['src/conversion/stages/read.ts', 'src/conversion/stages/decide/tune.ts', 'no stage imports another'],
  [
    'src/conversion/stages/decide/tune.ts',
    'src/conversion/convert.ts',
    'no stage and no strategy calls the whole conversion',
  ],
  [
    'src/conversion/settings.ts',
    'src/conversion/options/options.ts',
    'options are settled at the entry; what follows takes settings',
  ],
  [
    'kernels/kernel.ts',
    'src/runtime/provide-node-engine.ts',
    'only the entry of a program chooses its engine and backends',
  ],
  ['native/isa/rows.h', 'native/ops/ops.h', 'isa may not know ops'],
])('%s may not import %s', (from, to, why) => {
  expect(problemsOf((problems) => checkArrow(from, to, problems))).toEqual([`${from} -> ${to}: ${why}`]);
});

test('a room imports rooms that the table names, and itself', () => {
  expect(
    problemsOf((problems) => {
      checkArrow('src/passes/pass.ts', 'src/graph/ir.ts', problems);
      checkArrow('src/passes/a.ts', 'src/passes/quantize/b.ts', problems);
    }),
  ).toEqual([]);
});

test('rooms that know each other are refused', () => {
  const table = [
    { room: 'src/a', name: 'a', knows: ['b'] },
    { room: 'src/b', name: 'b', knows: ['a'] },
  ];
  expect(problemsOf((problems) => checkOrder(table, problems))).toEqual([
    'layers.js: src/a knows b, which is not listed before it',
  ]);
});

test('finds the circles of files, and nothing that only leads into one', () => {
  const imports = new Map([
    ['in', ['a']],
    ['a', ['b', 'fs']],
    ['b', ['c', 'out']],
    ['c', ['a']],
    ['out', []],
    ['self', ['self']],
  ]);
  expect(circles(imports).map((group: string[]) => [...group].sort())).toEqual([['a', 'b', 'c'], ['self']]);
});
