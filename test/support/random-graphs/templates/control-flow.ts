/** Loops, branches and lists of tensors. */
import { attr } from '../../../../src/graph/attrs';
import { type Drawing, type Drawn, T } from '../drawing';
import { DT, each, fanIn, fixed, INT, shapeOf, type Table } from './template';

/** A loop that multiplies a matrix by weights a few times. */
function loop(d: Drawing): Promise<Drawn[]> {
  const from = d.ofRank(2);
  const depth = shapeOf(from)[1];
  const filter = d.weights([depth, depth], fanIn(depth));
  const frame = attr.string(d.name());
  const enter = (constant: boolean) => ({
    frame_name: frame,
    is_constant: attr.bool(constant),
    parallel_iterations: attr.int(1),
  });
  const n = (suffix: string) => `${base}_${suffix}`;
  const base = d.name();
  const [zero, one, turns] = [d.ints([0], []), d.ints([1], []), d.ints([d.random.int(1, 3)], [])];
  const end = d.name();
  return d.group(
    [
      { name: n('enter_i'), op: 'Enter', inputs: [zero], attrs: { ...INT, ...enter(false) } },
      { name: n('enter_x'), op: 'Enter', inputs: [from.name], attrs: { ...T, ...enter(false) } },
      { name: n('enter_w'), op: 'Enter', inputs: [filter], attrs: { ...T, ...enter(true) } },
      { name: n('enter_n'), op: 'Enter', inputs: [turns], attrs: { ...INT, ...enter(true) } },
      { name: n('enter_1'), op: 'Enter', inputs: [one], attrs: { ...INT, ...enter(true) } },
      {
        name: n('merge_i'),
        op: 'Merge',
        inputs: [n('enter_i'), n('next_i')],
        attrs: { ...INT, N: attr.int(2) },
      },
      {
        name: n('merge_x'),
        op: 'Merge',
        inputs: [n('enter_x'), n('next_x')],
        attrs: { ...T, N: attr.int(2) },
      },
      { name: n('less'), op: 'Less', inputs: [n('merge_i'), n('enter_n')], attrs: INT },
      { name: n('cond'), op: 'LoopCond', inputs: [n('less')] },
      { name: n('switch_i'), op: 'Switch', inputs: [n('merge_i'), n('cond')], attrs: INT },
      { name: n('switch_x'), op: 'Switch', inputs: [n('merge_x'), n('cond')], attrs: T },
      { name: n('add'), op: 'AddV2', inputs: [`${n('switch_i')}:1`, n('enter_1')], attrs: INT },
      {
        name: n('product'),
        op: 'MatMul',
        inputs: [`${n('switch_x')}:1`, n('enter_w')],
        attrs: { ...T, transpose_a: attr.bool(false), transpose_b: attr.bool(false) },
      },
      { name: n('tanh'), op: 'Tanh', inputs: [n('product')], attrs: T },
      { name: n('next_i'), op: 'NextIteration', inputs: [n('add')], attrs: INT },
      { name: n('next_x'), op: 'NextIteration', inputs: [n('tanh')], attrs: T },
      { name: end, op: 'Exit', inputs: [n('switch_x')], attrs: T },
    ],
    [end],
  );
}

/** One of two branches. */
async function branch(d: Drawing): Promise<Drawn[]> {
  const from = d.any();
  const predicate = d.constant([], [d.random.int(0, 1)], 'bool');
  const [chosen, left, right, end] = [d.name(), d.name(), d.name(), d.name()];
  return d.group(
    [
      { name: chosen, op: 'Switch', inputs: [from.name, predicate], attrs: T },
      { name: left, op: 'Relu', inputs: [chosen], attrs: T },
      { name: right, op: 'Tanh', inputs: [`${chosen}:1`], attrs: T },
      { name: end, op: 'Merge', inputs: [left, right], attrs: { ...T, N: attr.int(2) } },
    ],
    [end],
  );
}

/** A list of the rows of a tensor, read, written and stacked. */
function tensorList(d: Drawing): Promise<Drawn[]> {
  const from = d.any((tensor) => shapeOf(tensor).length >= 2 && fixed(tensor, 0));
  const [count, ...element] = shapeOf(from);
  const shape = d.ints(element);
  const n = Array.from({ length: 8 }, () => d.name());
  const types = { element_dtype: attr.dtype('float32') };
  return d.group(
    [
      { name: n[0], op: 'TensorListFromTensor', inputs: [from.name, shape], attrs: types },
      { name: n[1], op: 'TensorListGetItem', inputs: [n[0], d.ints([0], []), shape], attrs: types },
      { name: n[2], op: 'TensorListReserve', inputs: [shape, d.ints([2], [])], attrs: types },
      { name: n[3], op: 'TensorListSetItem', inputs: [n[2], d.ints([0], []), n[1]], attrs: types },
      { name: n[4], op: 'TensorListSetItem', inputs: [n[3], d.ints([1], []), n[1]], attrs: types },
      {
        name: n[5],
        op: 'TensorListStack',
        inputs: [n[4], shape],
        attrs: { ...types, num_elements: attr.int(2) },
      },
      { name: n[6], op: 'TensorListGather', inputs: [n[0], d.ints([0, count - 1]), shape], attrs: types },
      { name: n[7], op: 'AddV2', inputs: [n[5], n[6]], attrs: T },
    ],
    [n[7]],
  );
}

/** A list that grows, and says how long it is. */
function growingList(d: Drawing): Promise<Drawn[]> {
  const from = d.any(
    (tensor) => shapeOf(tensor).length >= 1 && shapeOf(tensor).every((_, i) => fixed(tensor, i)),
  );
  const shape = d.ints(shapeOf(from));
  const n = Array.from({ length: 6 }, () => d.name());
  const types = { element_dtype: attr.dtype('float32') };
  return d.group(
    [
      { name: n[0], op: 'EmptyTensorList', inputs: [shape, d.ints([2], [])], attrs: types },
      { name: n[1], op: 'TensorListPushBack', inputs: [n[0], from.name], attrs: types },
      { name: n[2], op: 'TensorListLength', inputs: [n[1]] },
      {
        name: n[3],
        op: 'TensorListStack',
        inputs: [n[1], shape],
        attrs: { ...types, num_elements: attr.int(-1) },
      },
      {
        name: n[4],
        op: 'Cast',
        inputs: [n[2]],
        attrs: { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') },
      },
      { name: n[5], op: 'Mul', inputs: [n[3], n[4]], attrs: T },
    ],
    [n[5]],
  );
}

/** The older form of the same. */
function tensorArray(d: Drawing): Promise<Drawn[]> {
  const from = d.any((tensor) => shapeOf(tensor).length >= 2 && fixed(tensor, 0));
  const [count, ...element] = shapeOf(from);
  const shape = { element_shape: { shape: { dim: element.map((size) => ({ size: String(size) })) } } };
  const n = Array.from({ length: 8 }, () => d.name());
  return d.group(
    [
      {
        name: n[0],
        op: 'TensorArrayV3',
        inputs: [d.ints([count + 1], [])],
        attrs: {
          ...DT,
          ...shape,
          dynamic_size: attr.bool(false),
          clear_after_read: attr.bool(false),
          identical_element_shapes: attr.bool(true),
          tensor_array_name: attr.string(''),
        },
      },
      {
        name: n[1],
        op: 'TensorArrayScatterV3',
        inputs: [n[0], d.ints(Array.from({ length: count }, (_, i) => i)), from.name, `${n[0]}:1`],
        attrs: T,
      },
      { name: n[2], op: 'TensorArrayReadV3', inputs: [n[0], d.ints([0], []), n[1]], attrs: DT },
      { name: n[3], op: 'TensorArrayWriteV3', inputs: [n[0], d.ints([count], []), n[2], n[1]], attrs: T },
      {
        name: n[4],
        op: 'TensorArrayGatherV3',
        inputs: [n[0], d.ints([0, count]), n[3]],
        attrs: { ...DT, ...shape },
      },
      { name: n[5], op: 'TensorArraySizeV3', inputs: [n[0], n[3]] },
      {
        name: n[6],
        op: 'Cast',
        inputs: [n[5]],
        attrs: { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') },
      },
      { name: n[7], op: 'AddV2', inputs: [n[4], n[6]], attrs: T },
    ],
    [n[7]],
  );
}

export const FLOW: Table = {
  ...each('Enter Exit NextIteration LoopCond', () => loop),
  ...each('Switch Merge', () => branch),
  ...each(
    'TensorListFromTensor TensorListGetItem TensorListReserve TensorListSetItem TensorListStack TensorListGather',
    () => tensorList,
  ),
  ...each('EmptyTensorList TensorListPushBack TensorListLength', () => growingList),
  ...each(
    'TensorArrayV3 TensorArrayScatterV3 TensorArrayReadV3 TensorArrayWriteV3 TensorArrayGatherV3 TensorArraySizeV3',
    () => tensorArray,
  ),
};
