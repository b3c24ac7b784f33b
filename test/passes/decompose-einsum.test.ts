// @needs engine
import { attr } from '../../src/graph/attrs';
import { decomposeEinsum } from '../../src/passes/decompose-einsum';
import { optimize } from '../../src/passes/pipeline';
import { FloatGraph, ops } from '../support/float-graph';
import { applyPass, declined } from '../support/pass-checks';
import { fidelity, quantize } from '../support/quantize';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

const equation = (text: string) => ({
  equation: attr.string(text),
  N: attr.int(2),
  T: attr.dtype('float32'),
});

const SIZES: Readonly<Record<string, number>> = { a: 2, b: 3, c: 4, d: 5, e: 6, f: 2 };
const shapeOf = (letters: string) => [...letters].map((letter) => SIZES[letter]);

test.each([
  'ab,bc->ac',
  'ab,bc->ca',
  'abc,cd->abd',
  'abc,cde->abde',
  'abcd,cde->abe',
  'aecd,abcd->acbe',
  'acbe,aecd->abcd',
  'abc,dc->adb',
  'ab,ab->a',
  'abc,abd->acd',
  'abc,c->ab',
  'ab,abc->ac',
])('%s computes the same, with weights and with two activations', async (text) => {
  const [left, right] = text.split('->')[0].split(',');
  const inputs = new FloatGraph(random)
    .input('x', shapeOf(left))
    .input('y', shapeOf(right))
    .node('sum', 'Einsum', ['x', 'y'], equation(text))
    .build('sum');
  const { live } = await applyPass(decomposeEinsum, inputs, random);
  expect(live).toContain('BatchMatMulV2');
  expect(live).not.toContain('Einsum');
  const weights = new FloatGraph(random)
    .input('x', shapeOf(left).with(0, -1))
    .weights('w', shapeOf(right))
    .node('sum', 'Einsum', ['x', 'w'], equation(text));
  if (right.includes(left[0])) return;
  expect((await applyPass(decomposeEinsum, weights.build('sum'), random)).live).toContain('BatchMatMulV2');
});

test('the layers of an attention are quantized', async () => {
  const graph = new FloatGraph(random).input('x', [-1, 6, 8]);
  for (const name of ['q', 'k', 'v']) {
    graph
      .weights(`${name}/w`, [8, 2, 4], -0.5, 0.5)
      .node(name, 'Einsum', ['x', `${name}/w`], equation('abc,cde->abde'));
  }
  graph
    .node('scores', 'Einsum', ['k', 'q'], equation('aecd,abcd->acbe'))
    .node('weights', 'Softmax', ['scores'])
    .node('mixed', 'Einsum', ['weights', 'v'], equation('acbe,aecd->abcd'))
    .weights('o/w', [2, 4, 8], -0.5, 0.5)
    .node('out', 'Einsum', ['mixed', 'o/w'], equation('abcd,cde->abe'));
  const built = graph.build('out');
  const { graph: optimized } = optimize(built);
  expect(ops(optimized)).not.toContain('Einsum');
  const { graph: quantized, plan } = await quantize(optimized, random);
  const products = plan.regions.flatMap((r) => r.nodes).filter((n) => n.op === 'BatchMatMulV2');
  expect(products).toHaveLength(6);
  expect((await fidelity(built, quantized, random))[0]).toBeGreaterThan(25);
});

test.each([
  ['aa,ab->b', 'a letter comes twice'],
  ['ab,c->c', "'ab' is summed in one operand alone"],
  ['...a,ab->...b', 'it has an ellipsis'],
  ['a,b->ab', 'it sums over nothing'],
])('declines %s', (text, reason) => {
  const graph = new FloatGraph(random)
    .input('x', [2, 2])
    .input('y', [2, 2])
    .node('sum', 'Einsum', ['x', 'y'], equation(text));
  expect(declined(decomposeEinsum.apply(graph.build('sum')))).toEqual([`not decomposed: ${reason}`]);
});
