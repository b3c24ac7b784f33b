import { countProducts, productsOf } from '../../src/evaluation/products';
import { attr } from '../../src/graph/attrs';
import { inferShapes } from '../../src/graph/infer-shapes';
import { FloatGraph } from '../support/float-graph';
import { randomOf } from '../support/random';

const graph = new FloatGraph(randomOf('products', 0))
  .input('x', [-1, 4, 5])
  .input('open', [-1, -1, 5])
  .weights('w', [5, 3])
  .node('known', 'BatchMatMulV2', ['x', 'w'])
  .node('scores', 'BatchMatMulV2', ['known', 'known'], { adj_x: attr.bool(false), adj_y: attr.bool(true) })
  .node('named', 'Einsum', ['x', 'known'], { equation: attr.string('bij,bik->bjk'), N: attr.int(2) })
  .node('unknown', 'BatchMatMulV2', ['open', 'w'])
  .node('sum', 'AddV2', ['scores', 'scores'])
  .build('sum', 'named', 'unknown');
const shapes = inferShapes(graph);

test('every product counts, of weights or of two activations', () => {
  expect(productsOf(graph, shapes)).toEqual([
    { name: 'known', op: 'BatchMatMulV2', macs: 4 * 3 * 5 },
    { name: 'scores', op: 'BatchMatMulV2', macs: 4 * 4 * 3 },
    { name: 'named', op: 'Einsum', macs: 4 * 5 * 3 },
    { name: 'unknown', op: 'BatchMatMulV2', macs: 3 * 5, incomplete: true },
  ]);
});

test('what stays float is listed with its reason, the largest first', () => {
  const float = new Map([
    ['unknown', 'open'],
    ['named', 'Einsum'],
    ['sum', 'no product'],
  ]);
  expect(countProducts(graph, shapes, float)).toEqual({
    products: 4,
    incomplete: 1,
    floatProducts: [
      { name: 'named', op: 'Einsum', macs: 60, reason: 'Einsum' },
      { name: 'unknown', op: 'BatchMatMulV2', macs: 15, incomplete: true, reason: 'open' },
    ],
  });
});

test('products in the functions of loops count as float', () => {
  const library = {
    function: [
      {
        signature: { name: 'body' },
        nodeDef: [
          { name: 'cell', op: 'MatMul' },
          { name: 'add', op: 'AddV2' },
        ],
      },
    ],
  };
  const { products, floatProducts } = countProducts({ ...graph, source: { library } }, shapes, new Map());
  expect(products).toBe(5);
  expect(floatProducts).toEqual([
    {
      name: 'body/cell',
      op: 'MatMul',
      macs: 0,
      incomplete: true,
      reason: 'it is in a function of a loop or a branch',
    },
  ]);
});
