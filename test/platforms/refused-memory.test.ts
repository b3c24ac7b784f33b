// @needs addon
/** A runtime that takes no memory of native code as an ArrayBuffer, as Electron does: the call is forced to fail. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { temporaryFolder } from '../support/tiny-model';

const root = resolve(__dirname, '..', '..');
const objects = join(root, 'build', 'objects');

/** In place of the runtime's: hidden, so that the addon's calls come here. */
const REFUSAL = `#include <cstdio>
extern "C" __attribute__((visibility("hidden"))) int napi_create_external_arraybuffer(void*, void*, size_t, void*, void*, void*) {
  std::fputs("refused\\n", stderr);
  return 22;  // napi_no_external_buffers_allowed
}`;

test('experts are read into an ArrayBuffer of the runtime, past the page cache too', () => {
  const folder = temporaryFolder();
  const [source, addon] = [join(folder, 'refusal.cc'), join(folder, 'refused.node')];
  writeFileSync(source, REFUSAL);
  const built = readdirSync(objects, { recursive: true, encoding: 'utf8' }).filter(
    // Not what is left of a source that was removed, nor what belongs to another program.
    (file) => /^(?!test)(.*)\.o$/.test(file) && existsSync(join(root, 'native', file.slice(0, -2))),
  );
  const link =
    process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-ldl'];
  const inputs = [source, ...built.map((file) => join(objects, file))];
  execFileSync(process.env.CXX ?? 'c++', ['-fPIC', ...inputs, ...link, '-pthread', '-o', addon]);

  const { stdout, stderr } = spawnSync(process.execPath, [join(__dirname, 'exercise.js')], {
    encoding: 'utf8',
    env: { ...process.env, LOWBIT_ADDON: addon, LOWBIT_ISA: '' },
  });
  expect(stderr).toMatch(/^refused\nrefused\n/);
  const { experts, direct } = JSON.parse(stdout);
  expect(experts).toMatchObject({ zeros: true, equal: true });
  expect([experts, 'its file system does not read past the page cache']).toContainEqual(direct);
});
