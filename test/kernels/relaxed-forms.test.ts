/** Every form of the relaxed dot product that machines have: where it is used, and where it is not, results are exact. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/base/package-root';
import { createNodeWasmEngine } from '../../src/runtime/wasm-engine-node';
import { setWasmPaths } from '../../src/runtime/wasm-files';
import { CaseBuilder } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { DYNAMIC_SERIES } from '../support/dynamic-series';
import { forEachCase } from '../support/random';
import { expectReference } from '../support/run-engine';
import { ALL_SERIES } from '../support/series';

const CASES = 100;

const modules = ['signed', 'unsigned', 'saturating'].map((form) => ({
  form,
  file: join(packageRoot(), 'build', `lowbit-relaxed-${form}.wasm`),
}));

const describeBuilt = modules.every(({ file }) => existsSync(file)) ? describe : describe.skip;

describeBuilt('a module with the form (needs the modules that npm run test:wasm-forms builds)', () => {
  afterAll(() => setWasmPaths({}));

  describe.each(modules)('$form', ({ file }) => {
    test.each([...ALL_SERIES, ...DYNAMIC_SERIES])('$label equals the reference', async ({ label, draw }) => {
      setWasmPaths({ 'lowbit-relaxed.wasm': file });
      const engine = createNodeWasmEngine({ isa: 'wasmrelaxed' });
      await forEachCase(`${label} relaxed`, CASES, (random) => {
        const builder = new CaseBuilder(random.chance(0.3));
        builder.output(draw(new Drawer(builder, random), random));
        expectReference(builder.build(), [engine]);
      });
    });
  });
});
