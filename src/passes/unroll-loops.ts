/**
 * Writes out loops that make a known number of turns, so that their products can be quantized and run in one go.
 *
 * Identity: a loop is its turns, one after the other. What it writes into a list, element by element, is Pack of the
 *   elements; an element that it reads of a tensor's list is a slice of the tensor. A product of such an element with a
 *   weight is the element of one product of all.
 * Pattern: a frame of Enter, Merge, Switch, LoopCond, NextIteration and Exit whose condition follows from shapes and
 *   constants, as Keras writes LSTM, GRU and RNN; lists as TensorList or TensorArrayV3.
 * Replacement: the nodes of a turn for every turn, `turn` saying of which node each is a copy.
 * Declines: a number of turns that is known only at run time, or above 1,024; loops within loops, branches in a loop; a
 *   list that is used in another way.
 */
import { attr, boolAttr, numberAttr, stringAttr } from '../graph/attrs';
import { GraphEditor, output, refKey } from '../graph/edit';
import { ShapeInference } from '../graph/infer-shapes';
import type { Constant, Graph, GraphNode, TensorRef } from '../graph/ir';
import { sliceAttrs } from '../graph/strided-slice';
import { copyOf } from '../graph/turns';
import { ChangeLog, type Pass } from './pass';

const MAX_TURNS = 1024;
const MAX_NODES = 100_000;

/** A list of tensors: elements by index, or the tensor whose rows they are. */
interface List {
  readonly elements: readonly (TensorRef | undefined)[];
  /** Rows of this tensor, along its axis. */
  readonly rows?: { readonly tensor: TensorRef; readonly axis: 0 | 1 };
}

type Value = TensorRef | List;

const isList = (value: Value): value is List => 'elements' in value;

/** What keeps a loop as it is. */
class Declined extends Error {}

const SIZES_UNKNOWN = 'its lists have sizes or indices that are known only at run time';

interface Frame {
  readonly enters: readonly GraphNode[];
  readonly switches: readonly GraphNode[];
  readonly merges: readonly GraphNode[];
  readonly condition: TensorRef;
  /** Of a turn, in order, without Merge and Enter. */
  readonly body: readonly GraphNode[];
  readonly exits: readonly GraphNode[];
  readonly all: ReadonlySet<string>;
}

const CONTROL = new Set(['Enter', 'Merge', 'Switch', 'NextIteration', 'Exit', 'LoopCond']);

/** Everything that a frame's Enters lead to, up to its Exits. */
function frameOf(graph: Graph, editor: GraphEditor, enters: readonly GraphNode[]): Frame {
  const all = new Set<string>();
  const pending = [...enters];
  for (let node = pending.pop(); node; node = pending.pop()) {
    if (all.has(node.name)) continue;
    all.add(node.name);
    if (node.op !== 'Exit') pending.push(...editor.readers(node.name));
  }
  const nodes = [...graph.nodes.values()].filter(({ name }) => all.has(name));
  const ofKind = (op: string) => nodes.filter((node) => node.op === op);
  if (nodes.some((node) => node.op === 'Enter' && !enters.includes(node)))
    throw new Declined('there is a loop within it');
  if (nodes.some(({ name, op }) => op !== 'Exit' && editor.outputs.has(name)))
    throw new Declined('an output of the model is within it');
  const opOf = (ref: TensorRef | undefined) => ref && all.has(ref.node) && graph.nodes.get(ref.node)!.op;
  const [conditions, merges, switches] = ['LoopCond', 'Merge', 'Switch'].map(ofKind);
  const carried = merges.every(
    ({ inputs: [first, later] }) => opOf(first) === 'Enter' && opOf(later) === 'NextIteration',
  );
  const switched = switches.every(
    ({ inputs: [value, condition] }) => opOf(value) === 'Merge' && condition.node === conditions[0]?.name,
  );
  if (conditions.length !== 1 || !carried || !switched) throw new Declined('there is a branch within it');
  return {
    enters,
    merges,
    switches,
    condition: conditions[0].inputs[0],
    body: nodes.filter(({ op }) => !CONTROL.has(op)),
    exits: ofKind('Exit'),
    all,
  };
}

/** Makes the nodes of a loop's turns; nothing is added to the graph before all are made. */
class Unrolling {
  readonly made = new Map<string, GraphNode>();
  readonly constants = new Map<string, Constant>();
  /** Values of tensors within the loop and of the lists that enter it, by `node:index`. */
  private readonly values = new Map<string, Value>();
  /** Products of all elements, by the node that multiplies one. */
  private readonly products = new Map<string, TensorRef>();
  private turn = 0;

  constructor(
    private readonly graph: Graph,
    private readonly editor: GraphEditor,
    private readonly inference: ShapeInference,
    private readonly frame: Frame,
  ) {}

  private name(wanted: string): string {
    let name = this.editor.freeName(wanted);
    for (let n = 1; this.made.has(name) || this.constants.has(name); n++)
      name = this.editor.freeName(`${wanted}_${n}`);
    return name;
  }

  private add(
    wanted: string,
    op: string,
    inputs: readonly TensorRef[],
    attrs: GraphNode['attrs'],
  ): TensorRef {
    const name = this.name(wanted);
    const node = { name, op, inputs, attrs };
    if (this.made.size >= MAX_NODES) throw new Declined(`its turns have more than ${MAX_NODES} nodes`);
    this.made.set(name, node);
    this.inference.add(node);
    return output(name);
  }

  private ints(wanted: string, values: readonly number[], shape = [values.length]): TensorRef {
    const name = this.name(wanted);
    const constant: Constant = { dtype: 'int32', shape, values: Int32Array.from(values) };
    this.constants.set(name, constant);
    this.inference.addConstant(name, constant);
    return output(name);
  }

  /** What a tensor of the graph is in this turn. */
  private valueOf(ref: TensorRef): Value {
    const known = this.values.get(refKey(ref));
    if (known) return known;
    if (this.frame.all.has(ref.node)) throw new Declined(`'${ref.node}' is read before it is computed`);
    const list = this.listBefore(ref);
    if (!list) return ref;
    this.values.set(refKey(ref), list);
    return list;
  }

  private tensorOf(ref: TensorRef): TensorRef {
    const value = this.valueOf(ref);
    if (isList(value)) throw new Declined(`the list of '${ref.node}' is used as a tensor`);
    return value;
  }

  private listOf(ref: TensorRef): List {
    const value = this.valueOf(ref);
    if (!isList(value)) throw new Declined(`the list of '${ref.node}' is not known`);
    return value;
  }

  private whole(ref: TensorRef): number {
    const value = this.inference.constant(ref)?.[0];
    if (value === undefined) throw new Declined(SIZES_UNKNOWN);
    return value;
  }

  /** Elements along an axis; a transposition that brought the axis to the front is left out. */
  private rowsOf(tensor: TensorRef): List {
    const node = this.graph.nodes.get(tensor.node);
    if (node && this.swapsFirstAxes(node)) return this.rowsAlong(node.inputs[0], 1);
    if (node?.op !== 'Pack' || (numberAttr(node, 'axis') ?? 0) !== 0) return this.rowsAlong(tensor, 0);
    return this.rowsAlong(this.pack(`${node.name}/second`, node.inputs, 1), 1);
  }

  private rowsAlong(tensor: TensorRef, axis: 0 | 1): List {
    const count = this.inference.shapes.get(refKey(tensor))?.[axis] ?? -1;
    if (count < 0) throw new Declined(SIZES_UNKNOWN);
    return { elements: new Array<undefined>(count).fill(undefined), rows: { tensor, axis } };
  }

  private swapsFirstAxes(node: GraphNode): boolean {
    const order = node.op === 'Transpose' ? this.inference.constant(node.inputs[1]) : undefined;
    return order !== undefined && order.length >= 2 && order.every((axis, i) => axis === (i < 2 ? 1 - i : i));
  }

  /** The list that a tensor of the graph before the loop stands for. */
  private listBefore(ref: TensorRef): List | undefined {
    const node = this.graph.nodes.get(ref.node);
    switch (node?.op) {
      case 'TensorListFromTensor':
        return this.rowsOf(node.inputs[0]);
      case 'TensorListReserve':
        return { elements: new Array<undefined>(this.whole(node.inputs[1])).fill(undefined) };
      case 'EmptyTensorList':
        return { elements: [] };
      case 'TensorArrayV3':
        return { elements: new Array<undefined>(this.whole(node.inputs[0])).fill(undefined) };
      case 'TensorArrayScatterV3': {
        const places = this.inference.constant(node.inputs[1]);
        if (!places?.every((at, i) => at === i)) throw new Declined('its lists are filled out of order');
        return this.rowsOf(node.inputs[2]);
      }
      default:
        return undefined;
    }
  }

  private element(list: List, at: number, of: GraphNode): TensorRef {
    const set = list.elements[at];
    if (set) return set;
    if (!list.rows || at < 0 || at >= list.elements.length)
      throw new Declined(`'${of.name}' reads what was not written`);
    return this.slice(list.rows.tensor, list.rows.axis, at, of.name);
  }

  /** Element `at` along an axis, which the result does not have. */
  private slice(tensor: TensorRef, axis: number, at: number, name: string): TensorRef {
    const along = (value: number, elsewhere: number) =>
      Array.from({ length: axis + 1 }, (_, i) => (i === axis ? value : elsewhere));
    const bounds = [along(at, 0), along(at + 1, 0), along(1, 1)].map((values, i) =>
      this.ints(`${name}/${['begin', 'end', 'strides'][i]}`, values),
    );
    const masks = 2 ** axis - 1;
    return this.add(`${name}/element`, 'StridedSlice', [tensor, ...bounds], {
      ...sliceAttrs({ begin: masks, end: masks, shrink: 2 ** axis }),
      T: attr.dtype('float32'),
      ...copyOf(`${name}/element`),
    });
  }

  /** A product with a weight, of an element of a tensor: the element of the product of all. */
  private productOfAll(node: GraphNode): TensorRef | undefined {
    if (node.op !== 'MatMul' && node.op !== '_FusedMatMul') return undefined;
    const read = this.reading(node.inputs[0]);
    if (!read || boolAttr(node, 'transpose_a')) return undefined;
    const others = node.inputs.slice(1).map((ref) => this.valueOf(ref));
    if (others.some((value) => isList(value) || !this.graph.constants.has(this.withoutIdentity(value).node)))
      return undefined;
    const { tensor, axis } = read.rows;
    const shape = this.inference.shapes.get(refKey(tensor));
    const weights = this.inference.shapes.get(refKey(others[0] as TensorRef));
    if (axis !== 1 || shape?.length !== 3 || shape[1] < 0 || shape[2] < 0 || !weights) return undefined;
    const outputs = weights[boolAttr(node, 'transpose_b') ? 0 : 1];
    let all = this.products.get(node.name);
    if (!all) {
      const flat = this.ints(`${node.name}/rows`, [-1, shape[2]]);
      const rows = this.add(`${node.name}/flat`, 'Reshape', [tensor, flat], { Tshape: attr.dtype('int32') });
      const product = this.add(`${node.name}/all`, node.op, [rows, ...(others as TensorRef[])], node.attrs);
      const back = this.ints(`${node.name}/shape`, [-1, shape[1], outputs]);
      all = this.add(`${node.name}/turns`, 'Reshape', [product, back], { Tshape: attr.dtype('int32') });
      this.products.set(node.name, all);
    }
    return this.slice(all, 1, read.at, node.name);
  }

  /** Where a constant enters a loop through Enter, the constant. */
  private withoutIdentity(ref: TensorRef): TensorRef {
    const node = this.graph.nodes.get(ref.node);
    return node?.op === 'Identity' || node?.op === 'Enter' ? this.withoutIdentity(node.inputs[0]) : ref;
  }

  /** The list and the place that a tensor is read from as it is, if it is. */
  private reading(ref: TensorRef): { rows: NonNullable<List['rows']>; at: number } | undefined {
    const node = this.graph.nodes.get(ref.node);
    if (!node || !this.frame.all.has(ref.node)) return undefined;
    if (node.op !== 'TensorListGetItem' && node.op !== 'TensorArrayReadV3') return undefined;
    const list = this.listOf(node.inputs[node.op === 'TensorListGetItem' ? 0 : 2]);
    const at = this.whole(this.tensorOf(node.inputs[1]));
    return list.rows && list.elements[at] === undefined ? { rows: list.rows, at } : undefined;
  }

  private set(node: GraphNode, value: Value, index = 0): void {
    this.values.set(refKey(output(node.name, index)), value);
  }

  /** Lists exist only here; undefined where the node is none of theirs. */
  private listOp(node: GraphNode): Value | undefined {
    const [first, second, third, fourth] = node.inputs;
    switch (node.op) {
      case 'TensorListGetItem':
        return this.element(this.listOf(first), this.whole(this.tensorOf(second)), node);
      case 'TensorArrayReadV3':
        return this.element(this.listOf(third), this.whole(this.tensorOf(second)), node);
      case 'TensorListSetItem':
        return this.written(this.listOf(first), this.whole(this.tensorOf(second)), this.tensorOf(third));
      case 'TensorArrayWriteV3':
        return this.written(this.listOf(fourth), this.whole(this.tensorOf(second)), this.tensorOf(third));
      case 'TensorListPushBack': {
        const list = this.listOf(first);
        return this.written(list, list.elements.length, this.tensorOf(second));
      }
      case 'Identity': {
        const value = this.valueOf(first);
        return isList(value) ? value : undefined;
      }
      default:
        return undefined;
    }
  }

  private written(list: List, at: number, element: TensorRef): List {
    const elements = [...list.elements];
    elements[at] = element;
    return { ...list, elements };
  }

  private copy(node: GraphNode): void {
    const list = this.listOp(node) ?? this.productOfAll(node);
    if (list) {
      this.set(node, list);
      return;
    }
    const inputs = node.inputs.map((ref) => this.tensorOf(ref));
    const attrs = { ...node.attrs, ...copyOf(node.name) };
    const copy = this.add(`${node.name}/turn_${this.turn}`, node.op, inputs, attrs).node;
    const read = this.editor.readers(node.name).flatMap((reader) => reader.inputs);
    const outputs = Math.max(1, ...read.map((ref) => (ref.node === node.name ? ref.index + 1 : 0)));
    for (let index = 0; index < outputs; index++) this.set(node, output(copy, index), index);
  }

  /** @returns what every Exit gives */
  run(): ReadonlyMap<string, Value> {
    const { enters, merges, switches, body, condition, exits } = this.frame;
    for (const enter of enters) this.set(enter, this.valueOf(enter.inputs[0]));
    for (const merge of merges) this.set(merge, this.valueOf(merge.inputs[0]));
    const inCondition = this.conditionNodes(condition);
    for (this.turn = 0; ; this.turn++) {
      if (this.turn > MAX_TURNS) throw new Declined(`it makes more than ${MAX_TURNS} turns`);
      for (const node of body) if (inCondition.has(node.name)) this.copy(node);
      const goesOn = this.inference.constant(this.tensorOf(condition))?.[0];
      if (goesOn === undefined) throw new Declined('how many turns it makes is known only at run time');
      for (const node of switches)
        for (const index of [0, 1]) this.set(node, this.valueOf(node.inputs[0]), index);
      if (goesOn === 0) break;
      for (const node of body) if (!inCondition.has(node.name)) this.copy(node);
      const next = merges.map(({ inputs }) => this.valueOf(this.graph.nodes.get(inputs[1].node)!.inputs[0]));
      for (const [i, merge] of merges.entries()) this.set(merge, next[i]);
    }
    return new Map(exits.map((exit) => [exit.name, this.valueOf(exit.inputs[0])]));
  }

  /** Nodes of the loop that the condition needs: they come before the Switches. */
  private conditionNodes(condition: TensorRef): ReadonlySet<string> {
    const found = new Set<string>();
    const pending = [condition.node];
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      const node = this.graph.nodes.get(name)!;
      if (found.has(name) || !this.frame.all.has(name) || CONTROL.has(node.op)) continue;
      found.add(name);
      pending.push(...node.inputs.map((ref) => ref.node));
    }
    return found;
  }

  /** Makes those that read a list after the loop read its elements. */
  replaceList(exit: GraphNode, list: List): Map<string, TensorRef> {
    const replaced = new Map<string, TensorRef>();
    for (const reader of this.editor.readers(exit.name)) {
      if (reader.op === 'TensorArraySizeV3' || reader.op === 'TensorListLength') {
        replaced.set(reader.name, this.ints(`${reader.name}/value`, [list.elements.length], []));
        continue;
      }
      if (reader.op === 'TensorListGetItem') {
        replaced.set(reader.name, this.element(list, this.whole(reader.inputs[1]), reader));
        continue;
      }
      const indices = reader.op === 'TensorListStack' ? undefined : this.inference.constant(reader.inputs[1]);
      const stacks =
        reader.op === 'TensorListStack' ||
        ((reader.op === 'TensorArrayGatherV3' || reader.op === 'TensorListGather') && indices !== undefined);
      if (!stacks) throw new Declined(`'${reader.name}' reads its list`);
      const at = indices ?? list.elements.map((_, i) => i);
      const elements = at.map((i) => this.element(list, i, reader));
      // A transposition of the first two axes is as well left out.
      for (const next of this.editor.readers(reader.name)) {
        if (this.swapsFirstAxes(next)) replaced.set(next.name, this.pack(`${next.name}/pack`, elements, 1));
      }
      replaced.set(reader.name, this.pack(`${reader.name}/pack`, elements, 0));
    }
    return replaced;
  }

  private pack(name: string, elements: readonly TensorRef[], axis: number): TensorRef {
    const attrs = { N: attr.int(elements.length), axis: attr.int(axis), T: attr.dtype('float32') };
    return this.add(name, 'Pack', elements, attrs);
  }
}

/** Puts a tensor in the place of a node: a model's output keeps its name. */
function replaceNode(editor: GraphEditor, name: string, by: TensorRef): void {
  editor.replaceUses(output(name), by);
  const node = editor.nodes.get(name)!;
  if (editor.outputs.has(name))
    editor.setNode({ name, op: 'Identity', inputs: [by], attrs: node.attrs.T ? { T: node.attrs.T } : {} });
  else editor.remove(name);
}

function unrollOne(graph: Graph, enters: readonly GraphNode[]): { graph: Graph; turns: string } {
  const editor = new GraphEditor(graph);
  const frame = frameOf(graph, editor, enters);
  const unrolling = new Unrolling(graph, editor, ShapeInference.of(graph), frame);
  const results = unrolling.run();
  const replacements = new Map<string, TensorRef>();
  for (const exit of frame.exits) {
    const value = results.get(exit.name)!;
    if (!isList(value)) replacements.set(exit.name, value);
    else for (const [name, by] of unrolling.replaceList(exit, value)) replacements.set(name, by);
  }
  for (const [name, constant] of unrolling.constants) editor.setConstant(name, constant);
  for (const node of unrolling.made.values()) editor.setNode(node);
  for (const [name, by] of replacements) replaceNode(editor, name, by);
  for (const name of frame.all) if (!editor.outputs.has(name)) editor.remove(name);
  return { graph: editor.finish(), turns: `${unrolling.made.size} nodes` };
}

export const unrollLoops: Pass = {
  name: 'unroll-loops',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const declined = new Set<string>();
    let current = graph;
    for (;;) {
      const frames = new Map<string, GraphNode[]>();
      for (const node of current.nodes.values()) {
        if (node.op !== 'Enter') continue;
        const frame = stringAttr(node, 'frame_name') ?? '';
        frames.set(frame, [...(frames.get(frame) ?? []), node]);
      }
      const next = [...frames].find(([name]) => !declined.has(name));
      if (!next) return { graph: current, changes: log.changes };
      const [name, enters] = next;
      try {
        const { graph: unrolled, turns } = unrollOne(current, enters);
        current = unrolled;
        log.rewrote(name, `wrote out the loop: ${turns}`);
      } catch (error) {
        if (!(error instanceof Declined)) throw error;
        declined.add(name);
        log.declined(name, `the loop is kept: ${error.message}`);
      }
    }
  },
};
