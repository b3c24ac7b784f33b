// @needs addon
/** The build leaves out an instruction set whose flags the compiler does not know, and reports it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { temporaryFolder } from '../support/tiny-model';

const root = resolve(__dirname, '..', '..');
const { name, flag } =
  process.arch === 'arm64'
    ? { name: 'neoni8mm', flag: '-march=armv8.2-a+dotprod+i8mm' }
    : { name: 'avxvnni', flag: '-mavxvnni' };

/** A copy of what the addon is built from and of the objects, of which only the registry's is compiled again. */
function copySources(): string {
  const folder = temporaryFolder();
  for (const part of ['native', 'scripts', join('build', 'objects')]) {
    cpSync(join(root, part), join(folder, part), { recursive: true, preserveTimestamps: true });
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** A compiler of before the set was invented. */
function oldCompiler(folder: string): string {
  const file = join(folder, 'old-c++');
  const script = `#!/bin/sh
case " $* " in
  *" ${flag} "*) echo "error: unrecognized command-line option '${flag}'" >&2; exit 1 ;;
esac
exec "${process.env.CXX ?? 'c++'}" "$@"
`;
  writeFileSync(file, script, { mode: 0o755 });
  return file;
}

test('a compiler that does not know the flags of a set builds the engine without it', () => {
  const folder = copySources();
  const build = spawnSync(process.execPath, [join(folder, 'scripts', 'build-native.js'), '--optional'], {
    encoding: 'utf8',
    env: { ...process.env, CXX: oldCompiler(folder) },
  });
  expect(build.stderr).toContain(`built without ${name}, as`);
  expect(build.stderr).toContain(`does not know ${flag}`);
  expect(build.status).toBe(0);
  expect(readFileSync(join(folder, 'build', 'objects', 'instruction-sets.inc'), 'utf8')).toContain(
    `LOWBIT_LEFT_OUT("${name}", "${flag}")`,
  );

  const script = `
    const addon = require(${JSON.stringify(join(folder, 'build', 'lowbit.node'))});
    const result = { sets: addon.instructionSets(), supported: addon.supports('${name}') };
    try { addon.isa(); } catch (error) { result.message = error.message; }
    console.log(JSON.stringify(result));`;
  const result = JSON.parse(
    execFileSync(process.execPath, ['-e', script], {
      encoding: 'utf8',
      env: { ...process.env, LOWBIT_ISA: name },
    }),
  );
  expect(result.sets).toContain('scalar');
  expect(result.sets).not.toContain(name);
  expect(result.supported).toBe(false);
  expect(result.message).toMatch(
    `LOWBIT_ISA '${name}': the compiler that built the engine does not know ${flag}; available: scalar`,
  );
});

test('weak symbols without the name of their set are found', () => {
  const folder = temporaryFolder();
  const objects = join(folder, 'isa', name);
  mkdirSync(objects, { recursive: true });
  const source = join(folder, 'planted.cc');
  writeFileSync(
    source,
    `namespace lowbit {
     template <class T> __attribute__((noinline)) T twice(T value) { return value + value; }
     int planted(int value) { return twice(value); }
     }`,
  );
  execFileSync(process.env.CXX ?? 'c++', ['-O2', '-c', source, '-o', join(objects, 'kernels.cc.o')]);
  const check = spawnSync(process.execPath, [join(root, 'scripts', 'check-isa-symbols.js'), folder], {
    encoding: 'utf8',
  });
  expect(check.status).toBe(1);
  expect(check.stderr).toContain(`isa/${name}/kernels.cc.o: int lowbit::twice<int>(int)`);
});
