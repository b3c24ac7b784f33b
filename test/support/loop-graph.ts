/** Recurrent layers as TensorFlow writes them into graph models: loops of Enter, Merge, Switch and NextIteration. */
import { attr } from '../../src/graph/attrs';
import type { RawAttr } from '../../src/graph/ir';
import { sliceAttrs } from '../../src/graph/strided-slice';
import { FloatGraph } from './float-graph';
import type { Random } from './random';

const T = { T: attr.dtype('float32') };
const INT = { T: attr.dtype('int32') };
const PRODUCT = { ...T, transpose_a: attr.bool(false), transpose_b: attr.bool(false) };

export interface Cell {
  readonly steps: number;
  readonly features: number;
  readonly units: number;
  /** What lists are made of: TensorFlow 2's TensorList, or TensorFlow 1's TensorArray. */
  readonly lists?: 'list' | 'array';
  /** Steps of the loop; default: all. A name: known only at run time. */
  readonly turns?: number | string;
}

/** Adds h' = tanh(x W + h U + b) over the steps of `x` [batch, steps, features]; the result, [batch, steps, units]. */
export function addLoop(graph: FloatGraph, name: string, x: string, cell: Cell): string {
  const { steps, features, units, lists = 'list', turns = steps } = cell;
  const n = (suffix: string) => `${name}/${suffix}`;
  const enter = (constant = false): Record<string, RawAttr> => ({
    frame_name: attr.string(name),
    is_constant: attr.bool(constant),
    parallel_iterations: attr.int(1),
  });
  const ints = (suffix: string, values: number[], shape = [values.length]) =>
    graph.constant(n(suffix), shape, values, 'int32');
  graph
    .weights(n('W'), [features, units], -0.5, 0.5)
    .weights(n('U'), [units, units], -0.3, 0.3)
    .weights(n('b'), [units], -0.1, 0.1);
  ints('perm', [1, 0, 2]);
  ints('zero', [0], []);
  ints('one', [1], []);
  ints('begin', [0]);
  ints('end', [1]);
  ints('stride', [1]);
  ints('units', [units], []);
  ints('steps', [steps], []);
  ints(
    'every',
    Array.from({ length: steps }, (_, i) => i),
  );
  ints('element_in', [-1, features]);
  ints('element_out', [-1, units]);
  if (typeof turns === 'number') ints('turns', [turns], []);
  graph.constant(n('float_zero'), [], [0]);
  const slice = {
    ...INT,
    ...sliceAttrs({ shrink: 1 }),
  };
  graph
    .node(n('time_major'), 'Transpose', [x, n('perm')], T)
    .node(n('shape'), 'Shape', [x], { ...T, out_type: attr.dtype('int32') })
    .node(n('batch'), 'StridedSlice', [n('shape'), n('begin'), n('end'), n('stride')], slice)
    .node(n('sizes'), 'Pack', [n('batch'), n('units')], { ...INT, N: attr.int(2), axis: attr.int(0) })
    .node(n('h0'), 'Fill', [n('sizes'), n('float_zero')], T);
  const types = { element_dtype: attr.dtype('float32') };
  if (lists === 'list') {
    graph
      .node(n('inputs'), 'TensorListFromTensor', [n('time_major'), n('element_in')], types)
      .node(n('results'), 'TensorListReserve', [n('element_out'), n('steps')], types);
  } else {
    const array = {
      dtype: attr.dtype('float32'),
      dynamic_size: attr.bool(false),
      clear_after_read: attr.bool(true),
      identical_element_shapes: attr.bool(true),
    };
    graph
      .node(n('in_array'), 'TensorArrayV3', [n('steps')], {
        ...array,
        element_shape: { shape: { dim: [{ size: '-1' }, { size: String(features) }] } },
      })
      .node(
        n('inputs'),
        'TensorArrayScatterV3',
        [n('in_array'), n('every'), n('time_major'), n('in_array:1')],
        T,
      )
      .node(n('out_array'), 'TensorArrayV3', [n('steps')], {
        ...array,
        element_shape: { shape: { dim: [{ size: '-1' }, { size: String(units) }] } },
      });
  }
  const results = lists === 'list' ? n('results') : n('out_array:1');
  const end = typeof turns === 'number' ? n('turns') : turns;
  for (const [suffix, from, attrs] of [
    ['i', n('zero'), INT],
    ['h', n('h0'), T],
    ['out', results, lists === 'list' ? { T: { type: 'DT_VARIANT' } } : T],
  ] as const) {
    graph
      .node(n(`enter_${suffix}`), 'Enter', [from], { ...attrs, ...enter() })
      .node(n(`merge_${suffix}`), 'Merge', [n(`enter_${suffix}`), n(`next_${suffix}`)], {
        ...attrs,
        N: attr.int(2),
      })
      .node(n(`switch_${suffix}`), 'Switch', [n(`merge_${suffix}`), n('cond')], attrs);
  }
  for (const [suffix, from, attrs] of [
    ['in', n('inputs'), lists === 'list' ? { T: { type: 'DT_VARIANT' } } : T],
    ['n', end, INT],
    ['W', n('W'), T],
    ['U', n('U'), T],
  ] as const) {
    graph.node(n(`enter_${suffix}`), 'Enter', [from], { ...attrs, ...enter(true) });
  }
  if (lists === 'array') {
    graph
      .node(n('enter_in_array'), 'Enter', [n('in_array')], { ...T, ...enter(true) })
      .node(n('enter_out_array'), 'Enter', [n('out_array')], { ...T, ...enter(true) });
  }
  const i = `${n('switch_i')}:1`;
  graph.node(n('less'), 'Less', [n('merge_i'), n('enter_n')], INT).node(n('cond'), 'LoopCond', [n('less')]);
  if (lists === 'list')
    graph.node(n('read'), 'TensorListGetItem', [n('enter_in'), i, n('element_in')], types);
  else
    graph.node(n('read'), 'TensorArrayReadV3', [n('enter_in_array'), i, n('enter_in')], {
      dtype: attr.dtype('float32'),
    });
  graph
    .node(n('xW'), 'MatMul', [n('read'), n('enter_W')], PRODUCT)
    .node(n('hU'), 'MatMul', [`${n('switch_h')}:1`, n('enter_U')], PRODUCT)
    .node(n('sum'), 'AddV2', [n('xW'), n('hU')], T)
    .node(n('biased'), 'BiasAdd', [n('sum'), n('b')], T)
    .node(n('tanh'), 'Tanh', [n('biased')], T)
    .node(n('add'), 'AddV2', [i, n('one')], INT);
  const out = `${n('switch_out')}:1`;
  if (lists === 'list') graph.node(n('write'), 'TensorListSetItem', [out, i, n('tanh')], types);
  else graph.node(n('write'), 'TensorArrayWriteV3', [n('enter_out_array'), i, n('tanh'), out], T);
  graph
    .node(n('next_i'), 'NextIteration', [n('add')], INT)
    .node(n('next_h'), 'NextIteration', [n('tanh')], T)
    .node(n('next_out'), 'NextIteration', [n('write')], T)
    .node(n('exit_out'), 'Exit', [n('switch_out')], T)
    .node(n('last'), 'Exit', [n('switch_h')], T);
  if (lists === 'list') {
    graph.node(n('stack'), 'TensorListStack', [n('exit_out'), n('element_out')], {
      ...types,
      num_elements: attr.int(steps),
    });
  } else {
    graph.node(n('stack'), 'TensorArrayGatherV3', [n('out_array'), n('every'), n('exit_out')], {
      dtype: attr.dtype('float32'),
      element_shape: { shape: { dim: [{ size: '-1' }, { size: String(units) }] } },
    });
  }
  return n('sequence');
}

/** Loops one after the other, each on the sequence of the one before, and a layer on the last. */
export function loopGraph(random: Random, ...cells: Cell[]): FloatGraph {
  const graph = new FloatGraph(random).input('x', [-1, cells[0].steps, cells[0].features]);
  let from = 'x';
  cells.forEach((cell, i) => {
    const name = `loop_${i}`;
    const sequence = addLoop(graph, name, from, cell);
    graph.node(sequence, 'Transpose', [`${name}/stack`, `${name}/perm`], T);
    from = sequence;
  });
  return graph;
}
