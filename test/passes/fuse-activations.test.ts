import { fuseActivations } from '../../src/passes/fuse-activations';
import { applyPass, convolution, declined } from '../support/pass-checks';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

describe('fuse-activations', () => {
  test.each(['Relu', 'Relu6'])('fuses %s into a convolution without a bias', async (op) => {
    const graph = convolution(random).node('clamped', op, ['conv']).build('clamped');
    expect((await applyPass(fuseActivations, graph, random)).live).toEqual(['_FusedConv2D']);
  });

  test('takes a clip to [0, 6] for Relu6, and no other clip', async () => {
    const clip = (max: number) =>
      convolution(random)
        .constant('min', [], [0])
        .constant('max', [], [max])
        .node('clipped', 'ClipByValue', ['conv', 'min', 'max'])
        .build('clipped');
    expect((await applyPass(fuseActivations, clip(6), random)).live).toEqual(['_FusedConv2D']);
    expect((await applyPass(fuseActivations, clip(5), random)).live).toEqual(['Conv2D', 'ClipByValue']);
  });

  test('declines when the convolution is read elsewhere', async () => {
    const graph = convolution(random)
      .node('clamped', 'Relu', ['conv'])
      .node('sum', 'AddV2', ['conv', 'clamped'])
      .build('sum');
    const result = await applyPass(fuseActivations, graph, random);
    expect(declined(result)).toEqual([expect.stringContaining('another consumer')]);
  });
});
