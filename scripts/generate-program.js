/**
 * Makes from the op schema, src/program/schema.ts, what TypeScript and C++ know of programs.
 *
 *   npm run generate              writes the files
 *   npm run generate -- --check   fails where one of them is not what the schema makes
 */
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const swc = require('@swc/core');
const { programTypes } = require('./generate/typescript');
const { enums, params, paramsReaders, factories, dispatch } = require('./generate/cpp');
const { cRecords, nodeRecords } = require('./generate/records');

const root = path.resolve(__dirname, '..');

/** Loads a TypeScript module and the ones beside it that it needs. */
function load(file) {
  const { code } = swc.transformFileSync(file, {
    jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
    module: { type: 'commonjs' },
  });
  const module = { exports: {} };
  const need = (name) => load(`${path.resolve(path.dirname(file), name)}.ts`);
  new Function('module', 'exports', 'require', code)(module, module.exports, need);
  return module.exports;
}

function checkNumbers(schema) {
  const kinds = schema.OPS.flatMap((row) => Object.entries(row.kinds));
  const unique = (what, values) => {
    if (new Set(values).size !== values.length) throw new Error(`The schema names ${what} twice.`);
  };
  unique(
    'the number of an op',
    kinds.map(([, { number }]) => number),
  );
  unique(
    'an op',
    kinds.map(([name]) => name),
  );
  for (const [name, { values }] of Object.entries(schema.ENUMS)) {
    Object.values(values).forEach(({ number }, i) => {
      if (number !== i) throw new Error(`The values of ${name} do not count from 0.`);
    });
  }
}

function formatTypeScript(file, text) {
  const biome = path.join(root, 'node_modules', '.bin', 'biome');
  const { status, stdout, stderr } = spawnSync(biome, ['format', `--stdin-file-path=${file}`], {
    cwd: root,
    input: text,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${file} cannot be formatted: ${stderr}`);
  return stdout;
}

const schema = load(path.join(root, 'src', 'program', 'schema.ts'));
checkNumbers(schema);
const files = {
  'src/program/generated.ts': formatTypeScript('src/program/generated.ts', programTypes(schema)),
  'native/program/enums.h': enums(schema),
  'native/program/params.h': params(schema),
  'native/program/params.cc': paramsReaders(schema),
  'native/ops/factories.h': factories(schema),
  'native/ops/make-operator.cc': dispatch(schema),
  'native/include/lowbit-records.h': cRecords(schema),
  'native/include/records.h': nodeRecords(schema),
};

const isFresh = ([file, text]) => {
  const target = path.join(root, file);
  return fs.existsSync(target) && fs.readFileSync(target, 'utf8') === text;
};
const stale = Object.entries(files).filter((entry) => !isFresh(entry));
if (process.argv.includes('--check')) {
  if (stale.length > 0) {
    console.error(
      `Not what the schema makes; run npm run generate:\n${stale.map(([file]) => file).join('\n')}`,
    );
    process.exitCode = 1;
  }
} else {
  for (const [file, text] of stale) {
    fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    fs.writeFileSync(path.join(root, file), text);
    console.log(`wrote ${file}`);
  }
}
