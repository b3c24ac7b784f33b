/** The Arm variants, cross-compiled and run by an emulator of processors with and without their instructions. */
import { buildCompareKernels, compareKernels } from '../support/compare-kernels';
import { describeIf, hasTool } from '../support/needs';

const EMULATOR = 'qemu-aarch64';
const missing = ['aarch64-linux-gnu-g++', EMULATOR].filter((tool) => !hasTool(tool));

describeIf(missing.length === 0, missing.join(' and '), 'on 64-bit Arm', () => {
  let program: string;
  beforeAll(() => {
    program = buildCompareKernels(true);
  }, 600_000);

  test.each([
    { processor: 'cortex-a72', variants: ['neon'] },
    { processor: 'cortex-a76', variants: ['neon', 'neondot'] },
    { processor: 'max', variants: ['neon', 'neondot', 'neoni8mm'] },
  ])(
    'a $processor picks the fastest of $variants, and all of them equal scalar',
    ({ processor, variants }) => {
      const { picked, equal } = compareKernels([EMULATOR, '-cpu', processor, program], 200);
      expect(picked).toBe(variants.at(-1));
      expect(equal).toEqual(variants);
    },
    300_000,
  );
});
