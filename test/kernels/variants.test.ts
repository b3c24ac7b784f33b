// @needs addon
/** The kernels below the ops: each variant of this machine equals the scalar one bit for bit. */
import { createNativeEngine } from '../../src/runtime/native-engine';
import { buildCompareKernels, compareKernels } from '../support/compare-kernels';
import { describeIf, hasTool } from '../support/needs';

const compilers = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];

describeIf(
  compilers.some(hasTool),
  'a C++ compiler, which is not installed',
  'compiled for this machine',
  () => {
    test('every kernel of every instruction set of this machine equals the scalar one', () => {
      const { supportedIsas } = createNativeEngine();
      const { picked, equal } = compareKernels([buildCompareKernels()], 300);
      expect(picked).toBe(supportedIsas.at(-1));
      expect(equal).toEqual(supportedIsas.filter((name) => name !== 'scalar'));
    }, 600_000);
  },
);
