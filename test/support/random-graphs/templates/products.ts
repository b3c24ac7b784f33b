/** Matrix products, with weights or of two activations. */
import { attr } from '../../../../src/graph/attrs';
import { fusedAttrs } from '../../float-graph';
import type { Drawn } from '../drawing';
import { each, FUSED, fanIn, fixed, shapeOf, type Table } from './template';

const matrixBound = (depth: number) => fanIn(depth);

export const PRODUCTS: Table = {
  MatMul: (d) => {
    const from = d.ofRank(2);
    const [depth, outputs] = [shapeOf(from)[1], d.random.int(1, 8)];
    const transposed = d.random.chance(0.4);
    const filter = d.weights(transposed ? [outputs, depth] : [depth, outputs], matrixBound(depth));
    if (d.random.chance(0.15)) {
      const back = d.random.chance(0.5);
      return d.add('MatMul', [from, from], { transpose_a: attr.bool(back), transpose_b: attr.bool(!back) });
    }
    if (d.random.chance(0.1) && fixed(from, 0)) {
      const rows = d.weights([outputs, shapeOf(from)[0]], matrixBound(shapeOf(from)[0]));
      return d.add('MatMul', [rows, from], { transpose_a: attr.bool(false), transpose_b: attr.bool(false) });
    }
    return d.add('MatMul', [from, filter], {
      transpose_a: attr.bool(false),
      transpose_b: attr.bool(transposed),
    });
  },
  _FusedMatMul: (d) => {
    const from = d.ofRank(2);
    const [depth, outputs] = [shapeOf(from)[1], d.random.int(1, 8)];
    return d.add(
      '_FusedMatMul',
      [from, d.weights([depth, outputs], matrixBound(depth)), d.weights([outputs], 0.5)],
      { ...fusedAttrs(d.random.pick(FUSED)), transpose_a: attr.bool(false), transpose_b: attr.bool(false) },
    );
  },
  ...each('BatchMatMul BatchMatMulV2', (op) => (d) => {
    const from = d.ofRank(3, 4);
    const shape = shapeOf(from);
    const [rows, depth] = shape.slice(-2);
    const [x, y] = [d.random.chance(0.2), d.random.chance(0.4)];
    const attrs = { adj_x: attr.bool(x), adj_y: attr.bool(y) };
    const inner = x ? rows : depth;
    if (d.random.chance(0.5)) {
      const outputs = d.random.int(1, 6);
      const matrix = y ? [outputs, inner] : [inner, outputs];
      const leading = d.random.pick([[], [], new Array(shape.length - 2).fill(1), shape.slice(0, -2)]);
      const filter = d.weights([...leading, ...matrix], matrixBound(inner));
      return d.add(op, [from, filter], attrs);
    }
    const other = d.find(
      (b) =>
        b.dtype === 'float32' &&
        shapeOf(b).length === shape.length &&
        shapeOf(b).at(y ? -1 : -2) === inner &&
        b.shapes.every((s, i) => s.slice(0, -2).join() === from.shapes[i].slice(0, -2).join()),
    );
    return other
      ? d.add(op, [from, other], attrs)
      : d.add(op, [from, from], { adj_x: attr.bool(x), adj_y: attr.bool(!x) });
  }),
  Einsum: (d) => {
    const from = d.ofRank(2, 3, 4);
    const depth = shapeOf(from).at(-1)!;
    const letters = 'bhwd'.slice(0, shapeOf(from).length - 1);
    const [equation, inputs] = d.random.pick([
      [`${letters}c,ck->${letters}k`, [from, d.weights([depth, 3], matrixBound(depth))]],
      [`${letters}c,kc->${letters}k`, [from, d.weights([3, depth], matrixBound(depth))]],
      [`${letters}c,c->${letters}`, [from, d.weights([depth], matrixBound(depth))]],
      [`${letters}c,${letters}c->${letters}`, [from, from]],
    ] as [string, (Drawn | string)[]][]);
    return d.add('Einsum', inputs, { equation: attr.string(equation), N: attr.int(2) });
  },
};
