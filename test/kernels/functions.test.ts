import { KERNELS } from '../../kernels/register';
import * as entry from '../../src/kernels.node';

/** Run by `MixtureOfExperts` of tfjs-lowbit/moe: its experts are open files. */
const WITHOUT_FUNCTION = ['MixtureOfExperts'];

test.each(KERNELS.map(({ name }) => name).filter((name) => !WITHOUT_FUNCTION.includes(name)))(
  'the kernel %s is a function of tfjs-lowbit/kernels',
  (name) => {
    const functions = Object.entries(entry).filter(([, value]) => typeof value === 'function');
    const same = functions.filter(([exported]) => exported.toLowerCase() === name.toLowerCase());
    expect(same).toHaveLength(1);
  },
);
