import type { Quantizable } from '../../../../src/passes/quantize/match/quantizable';
import { capabilitiesOf, whyFloatAtEnd } from '../../../../src/passes/quantize/plan/capabilities';

const of = (kind: Exclude<Quantizable['kind'], 'channelAffine'>): Quantizable => {
  const common = { activations: [{ node: 'x', index: 0 }] };
  return kind === 'pointwise' ? { kind, f: (x) => x, ...common } : { kind, lower: () => {}, ...common };
};

test('sums and products can apply a function in their store, pools and layout ops cannot', () => {
  for (const kind of ['weighted', 'matrixProduct', 'elementwise'] as const)
    expect(capabilitiesOf(of(kind)).fusesFunction).toBe(true);
  for (const kind of ['averaging', 'selecting', 'softmax', 'concat', 'layout', 'pointwise'] as const)
    expect(capabilitiesOf(of(kind)).fusesFunction).toBe(false);
});

test('what only keeps codes stores float32 never, a reshape if its input is stored so', () => {
  expect(capabilitiesOf(of('selecting')).storesFloat32).toBe('never');
  expect(capabilitiesOf(of('averaging')).storesFloat32).toBe('always');
  expect(capabilitiesOf(of('reshape')).storesFloat32).toBe('ifInput');
});

test('a squashing function, a reshape and a layout op do not end a region', () => {
  expect(whyFloatAtEnd(of('reshape'))).toContain('renames');
  expect(whyFloatAtEnd(of('layout'))).toContain('moves');
  expect(whyFloatAtEnd({ ...of('pointwise'), squashes: true } as Quantizable)).toContain('in float');
  expect(whyFloatAtEnd(of('pointwise'))).toBeUndefined();
  expect(whyFloatAtEnd(of('weighted'))).toBeUndefined();
});
