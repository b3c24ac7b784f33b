// @needs addon
/** Real models give the same outputs, to the bit, on the native engine and on every module of the WebAssembly engine. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { engineInfo } from '../../src/runtime/current-engine';
import { describeWithShared, shared } from '../support/shared';
import { temporaryFolder } from '../support/tiny-model';

const SCRIPT = join(__dirname, '..', 'support', 'predict-on-engines.js');

describeWithShared('the engines agree on', () => {
  test.each(['mobilenet_v1_0.25_224', 'resnet20_cifar10', 'facemesh'])(
    '%s',
    (name) => {
      const native = engineInfo().isa;
      const args = [SCRIPT, shared('models', name, 'model.json'), join(temporaryFolder(), name)];
      const setup = ['--require', join(__dirname, '..', 'relaxed-simd.js')];
      const isas = [native, 'wasmrelaxed', 'wasmsimd', 'wasm'];
      const printed = execFileSync(process.execPath, [...setup, ...args, ...isas], {
        encoding: 'utf8',
      });
      const results = JSON.parse(printed.trim().split('\n').at(-1)!);
      const { hash, distinct } = results[native];
      expect(distinct).toBeGreaterThanOrEqual(10);
      expect(results).toEqual({
        [native]: { engine: 'native', hash, distinct },
        wasmrelaxed: { engine: 'wasm', hash, distinct },
        wasmsimd: { engine: 'wasm', hash, distinct },
        wasm: { engine: 'wasm', hash, distinct },
      });
    },
    240_000,
  );
});
