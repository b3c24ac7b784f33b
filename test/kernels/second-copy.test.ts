// @needs engine
import '@tensorflow/tfjs-backend-cpu';
import * as converter from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { install } from '../../kernels/register';

afterEach(() => jest.restoreAllMocks());

test('a second copy of the package says so once, and one copy never does', () => {
  const warn = jest.spyOn(console, 'warn').mockImplementation(() => {});
  const instance = { ...tf, ...converter };
  install(instance);
  install(instance);
  expect(warn).not.toHaveBeenCalled();
  jest.isolateModules(() => {
    const copy = require('../../kernels/register') as typeof import('../../kernels/register');
    copy.install(instance);
    copy.install(instance);
  });
  const ours = warn.mock.calls.filter(([text]) => String(text).includes('tfjs-lowbit'));
  expect(ours).toHaveLength(1);
  expect(ours[0]![0]).toContain('Two copies of tfjs-lowbit are loaded in this process');
});
