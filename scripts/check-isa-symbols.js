// Checks that what the linker may take from an instruction set's objects for another's carries the set's name. Of an
// inline function or a template that several objects have (a weak symbol) it keeps one copy: were that compiled with
// AVX-512 and called by the scalar kernels, the engine would crash on machines without it.
//
//   node scripts/check-isa-symbols.js [folder of objects]...   default: build/objects
//
// $NM names the tool that lists symbols (default: nm; aarch64-linux-gnu-nm for objects of Arm).

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const nativeIsa = path.join(root, 'native', 'isa');
const folders = process.argv.slice(2);
if (folders.length === 0) folders.push(path.join(root, 'build', 'objects'));

/** Weak symbols that objects of their own set may not share: W functions, V and u data. */
const WEAK = /^\S* ?([WVu]) (.+)$/;
/** GCC's reference to the function that handles exceptions: data, the same in all objects. */
const HARMLESS = 'DW.ref.';

function weakSymbols(object) {
  const listing = execFileSync(process.env.NM ?? 'nm', ['-C', '--defined-only', object], {
    encoding: 'utf8',
  });
  return listing
    .split('\n')
    .flatMap((line) => WEAK.exec(line)?.[2] ?? [])
    .filter((symbol) => !symbol.startsWith(HARMLESS));
}

function violationsOf(folder) {
  const sets = fs.readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return sets.flatMap(({ name }) => {
    const own = new RegExp(`\\b${name}::`);
    return (
      fs
        .readdirSync(path.join(folder, name))
        // Not what is left of a source that was renamed or removed.
        .filter(
          (file) => file.endsWith('.o') && fs.existsSync(path.join(nativeIsa, name, path.parse(file).name)),
        )
        .flatMap((file) =>
          weakSymbols(path.join(folder, name, file))
            .filter((symbol) => !own.test(symbol))
            .map((symbol) => `isa/${name}/${file}: ${symbol}`),
        )
    );
  });
}

let count = 0;
for (const folder of folders) {
  const isa = path.join(folder, 'isa');
  const violations = violationsOf(isa);
  count += violations.length;
  for (const violation of violations) console.error(violation);
  console.log(
    `${path.relative(root, isa)}: ${fs.readdirSync(isa).length} folders, ${violations.length} weak symbols without their set's name`,
  );
}
if (count > 0) {
  console.error(
    'Put these functions into an unnamed namespace or the namespace of the set, or make them static: see native/isa/x86/avx2.h.',
  );
  process.exitCode = 1;
}
